//! What a program says when this world's network denies it: whole sentences, by network and program.

use std::fmt;

use netmodel::resolve::GaiCode;
use netmodel::symptom::{Client, Traffic, denied};
use netmodel::{OutcomeClass, Profile};
use toolbox::DnsStyle;

use crate::claim::Claim;
use crate::look::Seen;
use crate::mesh::InstalledMesh;
use crate::world::World;

/// One of a few sentences. `*` stands for what differs from run to run: the asking socket's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<String>);

impl Words {
    fn of(profile: Profile, client: Client, traffic: Traffic, known: &[(&str, &str)]) -> Words {
        let ends = denied(profile, client, traffic).map(|symptom| symptom.ends).unwrap_or_default();
        let filled = |text: &str| {
            let text = known.iter().fold(text.to_owned(), |text, (place, word)| text.replace(place, word));
            text.replace("{local}", "*")
        };
        Words(ends.iter().map(|end| filled(end.text)).collect())
    }

    /// Whether `text` is one of the sentences.
    pub fn fit(&self, text: &str) -> bool {
        self.0.iter().any(|sentence| match sentence.split_once('*') {
            Some((begin, end)) => {
                text.len() >= begin.len() + end.len() && text.starts_with(begin) && text.ends_with(end)
            }
            None => text == sentence,
        })
    }
}

impl fmt::Display for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join(" | "))
    }
}

impl World {
    /// What the controller says of its scheduler when this network denies its dial.
    ///
    /// # Errors
    /// When the scheduler has no Service, or that has no address.
    pub async fn denied_dial(&self, mesh: &InstalledMesh) -> anyhow::Result<Words> {
        let dialled = format!("{}:9004", self.scheduler_address(mesh).await?);
        Ok(Words::of(self.profile(), Client::GrpcGo, Traffic::Tcp, &[("{address}", &dialled)]))
    }

    /// What it says when nobody answers its dial, whatever the network.
    ///
    /// # Errors
    /// When the scheduler has no Service, or that has no address.
    pub async fn unanswered_dial(&self, mesh: &InstalledMesh) -> anyhow::Result<Words> {
        let dialled = format!("{}:9004", self.scheduler_address(mesh).await?);
        // Calico answers nothing that it denies.
        Ok(Words::of(Profile::Calico, Client::GrpcGo, Traffic::Tcp, &[("{address}", &dialled)]))
    }

    /// What the controller says of its scheduler when this network denies its look-up.
    pub fn denied_look_up(&self, mesh: &InstalledMesh) -> Words {
        resolver_words(self.profile(), self.name_server(), &mesh.scheduler_name())
    }

    /// A look-up of the scheduler's name from the controller's pod is denied, in the program's own words.
    pub fn look_up_is_denied(&self, mesh: &InstalledMesh, style: DnsStyle) -> Claim {
        let name = mesh.scheduler_name();
        let (class, words) = denied_look_up(self.profile(), style, self.name_server(), &name);
        Claim::new(
            format!("a look-up ({style:?}) of {name} from the controller's pod fails: {words}"),
            mesh.look_up(style, &name),
            move |seen| matches!(seen, Seen::Observed(observation) if class.contains(&observation.class) && words.fit(&observation.text)),
        )
    }
}

fn look_up_words(profile: Profile, client: Client, server: &str, name: &str) -> Words {
    Words::of(profile, client, Traffic::Dns, &[("{host}", name), ("{server}", server)])
}

/// grpc-go passes on what Go's resolver says. Whether its limit of 30 s ends the search while a try is open (`read`)
/// or between two (`dial`) depends on how many search domains there are and how many of the tries were refused.
fn resolver_words(profile: Profile, server: &str, name: &str) -> Words {
    let ends = [Client::Go, Client::GoPatient].map(|client| look_up_words(profile, client, server, name).0);
    let prefix = "rpc error: code = Unavailable desc = dns: A record lookup error";
    let mut sentences: Vec<String> = ends.concat().iter().map(|text| format!("{prefix}: {text}")).collect();
    sentences.sort();
    sentences.dedup();
    Words(sentences)
}

fn denied_look_up(profile: Profile, style: DnsStyle, server: &str, name: &str) -> (Vec<OutcomeClass>, Words) {
    let client = match style {
        DnsStyle::Go => Client::Go,
        DnsStyle::Glibc => Client::GetentHosts,
        DnsStyle::Musl => Client::MuslGetaddrinfo,
        DnsStyle::BusyboxNslookup => Client::BusyboxNslookup,
    };
    let ends = denied(profile, client, Traffic::Dns).map(|symptom| symptom.ends).unwrap_or_default();
    let words = match style {
        // getent says nothing; programs that do print the library's text.
        DnsStyle::Glibc => Words(vec![GaiCode::Again.glibc_text().into()]),
        // nslookup puts `;;` before some of its sentences.
        DnsStyle::BusyboxNslookup => {
            let words = look_up_words(profile, client, server, name);
            Words(words.0.iter().map(|text| format!("*{text}")).collect())
        }
        DnsStyle::Go | DnsStyle::Musl => look_up_words(profile, client, server, name),
    };
    (ends.iter().map(|end| end.class).collect(), words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::as_it_is("refused", "refused", true)]
    #[case::not_a_part("refused", "refused, too", false)]
    #[case::any_socket("udp *->a: gone", "udp 10.42.0.9:4711->a: gone", true)]
    #[case::another_end("udp *->a: gone", "udp 10.42.0.9:4711->b: gone", false)]
    #[case::no_overlap("ab*ba", "aba", false)]
    fn fits(#[case] sentence: &str, #[case] text: &str, #[case] expected: bool) {
        assert_eq!(Words(vec![sentence.into()]).fit(text), expected);
    }

    #[test]
    fn every_program_has_words_on_every_network() {
        for profile in Profile::ALL {
            for style in DnsStyle::ALL {
                let (classes, words) = denied_look_up(profile, style, "10.43.0.10", "a.b");
                assert!(
                    !classes.is_empty() && words.0.iter().all(|text| !text.is_empty()),
                    "{profile} {style:?}"
                );
                assert!(!words.to_string().contains('{'), "{words}");
            }
        }
    }

    #[rstest]
    #[case::refused("read udp 10.42.0.50:41870->10.43.0.10:53: read: connection refused", true, false)]
    #[case::silent("read udp 10.42.0.50:41870->10.43.0.10:53: i/o timeout", true, true)]
    #[case::between_tries("dial udp 10.43.0.10:53: i/o timeout", true, true)]
    #[case::no_such_host("no such host", false, false)]
    fn the_controllers_words_tell_networks_apart(
        #[case] end: &str,
        #[case] flannel: bool,
        #[case] calico: bool,
    ) {
        let prefix = "rpc error: code = Unavailable desc = dns: A record lookup error";
        let text = format!("{prefix}: lookup seldon-scheduler.ml on 10.43.0.10:53: {end}");
        for (profile, expected) in [(Profile::Flannel, flannel), (Profile::Calico, calico)] {
            let words = resolver_words(profile, "10.43.0.10", "seldon-scheduler.ml");
            assert_eq!(words.fit(&text), expected, "{profile}");
        }
    }
}
