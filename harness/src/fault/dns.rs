//! Faults of names.

use std::net::{IpAddr, Ipv4Addr};

use clusters::UpstreamMode;
use netmodel::OutcomeClass;
use toolbox::DnsStyle;

use super::{Change, Fault};
use crate::claim::Claim;
use crate::look::{Look, Seen};
use crate::mesh::InstalledMesh;

/// An address that a provider which rewrites NXDOMAIN answers with, as in the first escalation.
pub const HIJACKER: Ipv4Addr = Ipv4Addr::new(143, 244, 220, 150);

/// The name server outside answers every unknown name with [`HIJACKER`].
pub fn hijacking_upstream(mesh: &InstalledMesh) -> Fault {
    let unknown = || mesh.look_up(DnsStyle::BusyboxNslookup, "no-such-name.example");
    Fault {
        breaks: format!("the upstream name server answers unknown names with {HIJACKER}"),
        change: Change::Upstream {
            mode: UpstreamMode::Hijack(HIJACKER),
            namespaces: vec![mesh.tenant().to_owned(), mesh.controller_namespace().to_owned()],
        },
        bites: resolves_to(unknown(), HIJACKER.into()),
        gone: Claim::new(
            "an unknown name does not exist",
            unknown(),
            |seen| matches!(seen, Seen::Observed(observation) if observation.class == OutcomeClass::NameNotFound),
        ),
    }
}

/// A look-up gives `address` and nothing else.
pub fn resolves_to(look: Look, address: IpAddr) -> Claim {
    Claim::new(
        format!("{look} gives {address}"),
        look,
        move |seen| matches!(seen, Seen::Observed(observation) if observation.addresses() == [address]),
    )
}
