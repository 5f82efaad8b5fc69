use super::*;

fn ask(name: &[u8]) -> Ask {
    let question = Question { name: name.to_vec(), kind: 28, class: wire::IN };
    Ask { question, flags: wire::RECURSION_DESIRED, dnssec_ok: false }
}

#[test]
fn a_probe_is_below_the_name_in_question() {
    let probes = Probes::default();
    let probe = probes.begin(&ask(b"\x03Www\x07example\0"));
    let name = &probe.ask.question.name;
    assert!(name.starts_with(b"\x15loop-") && name.ends_with(b"\x03www\x07example\0"), "{name:?}");
    assert_eq!(name.len(), 22 + 13);
    let other = probes.begin(&ask(b"\x03www\x07example\0"));
    assert_ne!(other.ask.question.name, *name);
}

#[test]
fn a_probe_is_known_by_its_name_whoever_began_it() {
    let is_probe = |name: &[u8]| is_probe(&ask(name).question);
    for name in [&b"\x03www\x07example\0"[..], &[0]] {
        let probe = below(name);
        assert!(is_probe(&probe) && is_probe(&probe.to_ascii_uppercase()), "{probe:?}");
        assert!(!is_probe(name));
    }
    for label in
        ["loop-0123456789abcde", "loop-0123456789abcdefa", "loop-0123456789abcdeg", "loup-0123456789abcdef"]
    {
        let length = u8::try_from(label.len()).unwrap();
        assert!(!is_probe(&[&[length], label.as_bytes(), b"\0"].concat()), "{label}");
    }
}

#[test]
fn a_probe_for_a_long_name_is_a_name() {
    for labels in 1..=126 {
        let name = [b"\x01a".repeat(labels), b"\x01b\0".to_vec()].concat();
        let probe = below(&name);
        assert!(probe.len() <= LONGEST && probe.ends_with(b"\x01b\0"), "{probe:?}");
        let mut message = vec![0; wire::HEADER];
        Question { name: probe.clone(), kind: 1, class: 1 }.write(&mut message);
        assert_eq!(Question::read(&message).unwrap().name, probe);
    }
    assert!(below(&[0]).ends_with(b"\0"));
}

#[tokio::test]
async fn a_probe_that_comes_back_is_known_until_its_end() {
    let probes = Probes::default();
    let probe = probes.begin(&ask(b"\x07example\0"));
    let question = probe.ask.question.clone();
    assert!(!probes.take(&ask(b"\x07example\0").question));
    let shouted = Question { name: question.name.to_ascii_uppercase(), ..question.clone() };
    assert!(probes.take(&shouted));
    probe.back().await;
    drop(probe);
    assert!(!probes.take(&question));
}

#[test]
fn a_loop_is_an_extended_error() {
    let entry = failure(&ask(b"\x07example\0")).unwrap();
    assert_eq!((entry.code(), entry.is_fresh()), (wire::SERVER_FAILURE, false));
    let message = entry.message().unwrap();
    assert!(!faith_dns64::failed_validation(&message), "another upstream may be asked");
    let octets = message.to_vec().unwrap();
    assert!(octets.ends_with(b"\0\x0f\0\x11\0\0forwarding loop"), "{octets:x?}");
}
