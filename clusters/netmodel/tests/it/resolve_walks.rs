//! Every walk ends, whatever the servers answer, and asks within its bounds.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use netmodel::resolve::{Family, Question, RecordType, Reply, ResolvConf, Stack, Step, Walk, rehearse};
use proptest::prelude::*;

fn stacks() -> impl Strategy<Value = Stack> {
    prop_oneof![Just(Stack::Go), Just(Stack::Glibc), Just(Stack::Musl), Just(Stack::BusyboxNslookup)]
}

fn replies() -> impl Strategy<Value = Reply> {
    prop_oneof![
        Just(Reply::Addresses(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])),
        Just(Reply::AliasOnly),
        Just(Reply::NoData),
        Just(Reply::Lame),
        Just(Reply::NxDomain),
        Just(Reply::ServFail),
        Just(Reply::Refused),
        Just(Reply::Code(4)),
        Just(Reply::Timeout),
        Just(Reply::Unreachable),
    ]
}

fn families() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::Any), Just(Family::V4), Just(Family::V6)]
}

fn confs() -> impl Strategy<Value = ResolvConf> {
    (1_usize..=3, 0_usize..=4, 0_u32..=6, 1_u32..=4).prop_map(|(servers, search, ndots, tries)| {
        let servers: String = (1..=servers).map(|last| format!("nameserver 10.43.0.{last}\n")).collect();
        let search: String = (0..search).map(|index| format!(" s{index}.example")).collect();
        let options = format!("options ndots:{ndots} attempts:{tries}\n");
        ResolvConf::parse(&format!("search{search}\n{servers}{options}"))
    })
}

proptest! {
    #[test]
    fn ends_and_asks_within_bounds(
        conf in confs(),
        stack in stacks(),
        family in families(),
        name in prop_oneof!["[a-z]{1,8}", "[a-z]{1,8}\\.[a-z]{1,8}", "[a-z]{1,4}\\.[a-z]{1,4}\\."],
        answers in proptest::collection::vec(replies(), 1..24),
    ) {
        let mut turn = 0;
        let rehearsal = rehearse(&conf, stack, &name, family, |_, _| {
            turn += 1;
            answers[(turn - 1) % answers.len()].clone()
        });
        let mut asked: HashMap<Question, usize> = HashMap::new();
        for (server, question) in &rehearsal.asked {
            prop_assert!(conf.nameservers.contains(server));
            *asked.entry(question.clone()).or_default() += 1;
        }
        // glibc may ask a server twice more, once, when it stops asking both types together.
        let spare = if stack == Stack::Glibc { 2 } else { 0 };
        let most = conf.attempts as usize * conf.nameservers.len() + spare;
        for (question, times) in &asked {
            prop_assert!(*times <= most, "{question} asked {times} times, at most {most}");
        }
        let names: std::collections::HashSet<_> = asked.keys().map(|ask| &ask.name).collect();
        prop_assert!(names.len() <= conf.search.len() + 1);
    }

    #[test]
    fn a_found_address_was_answered(
        conf in confs(),
        stack in stacks(),
        answers in proptest::collection::vec(replies(), 1..24),
    ) {
        let mut turn = 0;
        let rehearsal = rehearse(&conf, stack, "a.b", Family::Any, |_, _| {
            turn += 1;
            answers[(turn - 1) % answers.len()].clone()
        });
        if let Ok(found) = rehearsal.outcome.result {
            let source = rehearsal.outcome.replies.iter().any(|(question, reply)| {
                question.name == found.name && matches!(reply, Reply::Addresses(_))
            });
            prop_assert!(source && !found.addresses.is_empty());
        }
    }

    #[test]
    fn any_text_is_a_conf(text in "\\PC*") {
        let conf = ResolvConf::parse(&text);
        prop_assert!((1..=3).contains(&conf.nameservers.len()));
    }
}

/// Text is asked for name after name, as addresses are, and one record of it is enough.
#[test]
fn text_goes_through_the_search_list() {
    let conf = ResolvConf::parse("search a.example b.example\nnameserver 10.43.0.10\noptions ndots:5\n");
    let mut walk = Walk::text(&conf, "_config.x");
    for (name, reply) in [("_config.x.a.example", Reply::NxDomain), ("_config.x.b.example", Reply::Records)] {
        let Step::Ask(exchanges) = walk.step() else { panic!("a question is due") };
        let asked: Vec<_> = exchanges.iter().map(|exchange| exchange.question.clone()).collect();
        assert_eq!(asked, [Question { name: name.into(), record: RecordType::Txt }]);
        walk.reply(exchanges[0].id, reply);
    }
    let Step::Done(outcome) = walk.step() else { panic!("the text was found") };
    assert_eq!(outcome.result.unwrap().name, "_config.x.b.example");
}
