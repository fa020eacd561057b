//! The causes this house can name.

use reports::NamedCause;

/// A cause, for code that compares; its words are in the [`Diagnosis`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A NetworkPolicy denies a flow the mesh needs.
    PolicyDenies {
        /// Policies that isolate the endpoint without admitting the flow, as `namespace/name`.
        policies: Vec<String>,
        /// `controller`, `agent`, `envoy`.
        from: String,
        /// `scheduler`, `server`.
        to: String,
        /// Pod port.
        port: u16,
    },
    /// A NetworkPolicy denies name look-ups.
    PolicyDeniesNames {
        /// Policies that isolate the asking pod.
        policies: Vec<String>,
        /// Namespace whose pods cannot resolve.
        namespace: String,
        /// The label a DNS rule asks for that no namespace carries, as `key=value`.
        unmatched_label: Option<String>,
    },
    /// The node lets no packet of a flow through that the mesh needs and every policy allows.
    NodeDrops {
        /// `controller`, `agent`, `envoy`.
        from: String,
        /// `scheduler`, `server`, `name server`.
        to: String,
        /// Pod port.
        port: u16,
    },
    /// No server offers what a Model requires.
    RequirementsUnmet {
        /// `namespace/name`.
        model: String,
        /// Requirements that are no capability.
        missing: Vec<String>,
    },
    /// There is no Service of the one name the controller dials.
    SchedulerNameAbsent {
        /// Namespace in which it is missing.
        namespace: String,
        /// Services that look like schedulers under other names.
        lookalikes: Vec<String>,
    },
    /// The scheduler's name was asked for before its Service existed, and a hijacking resolver answered.
    ForeignAddressDialled {
        /// The address.
        address: String,
    },
    /// A look-up program that ignores the search list shows a foreign address; the mesh does not use it.
    MisleadingLookup {
        /// The name.
        name: String,
        /// What the program shows.
        address: String,
    },
    /// A SeldonRuntime was deleted while its controller ran: handlers of its old connection go on complaining.
    RuntimeWasDeleted,
    /// The request's path belongs to no route: nothing is wrong with the mesh.
    NoSuchRoute {
        /// The path.
        path: String,
    },
}

impl Cause {
    /// A stable word for machines.
    pub fn kind(&self) -> &'static str {
        match self {
            Cause::PolicyDenies { .. } => "policy-denies",
            Cause::PolicyDeniesNames { .. } => "policy-denies-names",
            Cause::NodeDrops { .. } => "node-drops",
            Cause::RequirementsUnmet { .. } => "requirements-unmet",
            Cause::SchedulerNameAbsent { .. } => "scheduler-name-absent",
            Cause::ForeignAddressDialled { .. } => "foreign-address-dialled",
            Cause::MisleadingLookup { .. } => "misleading-lookup",
            Cause::RuntimeWasDeleted => "runtime-was-deleted",
            Cause::NoSuchRoute { .. } => "no-such-route",
        }
    }
}

/// A cause with its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// For code.
    pub cause: Cause,
    /// For people.
    pub named: NamedCause,
}
