//! A relay tells its decision about a connection without making it.

use std::net::SocketAddr;

use faith_packet::mapping::Mappings;
use faith_packet::protocol::Protocol;
use faith_packet::rfc6052::Mapping;

use super::*;
use crate::cause::Cause;
use crate::permission::Permission;

const LIST: &str = "
# The second line.
2001:db8:1::/48 deny 0.0.0.0/0 port 25
::/0 permit 0.0.0.0/0 port 25 192.0.2.9
::/0 permit 10.0.0.0/8   # private, on purpose
";

fn lab(sources: &[&str]) -> Lab {
    let access = AccessList::parse(LIST, "test").unwrap();
    let sources = sources.iter().map(|address| address.parse().unwrap()).collect();
    Lab::new(RelayOptions { access, sources, ..options() })
}

fn ask(lab: &Lab, client: &str, destination: impl Into<SocketAddr>) -> Permission {
    lab.engine.admission.permission(Protocol::Tcp, client.parse().unwrap(), destination.into())
}

fn rule(permission: &Permission) -> Option<(&str, Option<usize>)> {
    permission.rule.as_ref().map(|rule| (rule.text.as_str(), rule.line))
}

#[test]
fn a_permission_names_the_deciding_rule_and_its_line() {
    let lab = lab(&[]);
    let server: SocketAddr = "1.1.1.1:25".parse().unwrap();
    let denied = ask(&lab, "2001:db8:1::7", server);
    assert_eq!((denied.cause, denied.source), (Some(Cause::DeniedByRule), None));
    assert_eq!(rule(&denied), Some(("2001:db8:1::/48 deny 0.0.0.0/0 port 25", Some(3))));

    let permitted = ask(&lab, "2001:db8:2::7", server);
    assert_eq!((permitted.cause, permitted.source), (None, "192.0.2.9".parse().ok()));
    assert_eq!(rule(&permitted), Some(("::/0 permit 0.0.0.0/0 port 25 192.0.2.9", Some(4))));
}

#[test]
fn a_permission_decided_by_a_default_names_no_rule() {
    let lab = lab(&[]);
    for (server, cause) in [
        ("1.1.1.1:80", Cause::DeniedNoMatch),
        ("192.168.1.1:80", Cause::SpecialPurpose),
        ("192.168.1.1:25", Cause::SpecialPurpose),
        ("127.0.0.1:25", Cause::Loopback),
    ] {
        let denied = ask(&lab, "::1", server.parse::<SocketAddr>().unwrap());
        assert_eq!((denied.cause, denied.rule), (Some(cause), None), "{server}");
    }
    let own = ask(&lab, "::1", SocketAddr::from((OWN_ADDRESS, 25)));
    assert_eq!((own.cause, own.rule), (Some(Cause::OwnAddress), None));
}

#[test]
fn a_dialled_address_is_mapped_before_it_is_judged() {
    let lab = lab(&["192.0.2.1"]);
    let permitted = ask(&lab, "::1", faith(Ipv4Addr::new(10, 0, 0, 7), 80));
    assert_eq!((permitted.cause, permitted.source), (None, "192.0.2.1".parse().ok()));
    let (_, line) = rule(&permitted).unwrap();
    assert_eq!(line, Some(5));
    let outside: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
    assert_eq!(ask(&lab, "::1", outside).cause, Some(Cause::NoMapping));
}

#[test]
fn a_new_list_decides_from_then_on_and_asking_counts_nothing() {
    let lab = lab(&[]);
    let server: SocketAddr = "1.1.1.1:80".parse().unwrap();
    assert_eq!(ask(&lab, "::1", server).cause, Some(Cause::DeniedNoMatch));
    lab.engine.set_access(AccessList::default(), false);
    assert_eq!(ask(&lab, "::1", server).cause, None);
    let stats = lab.engine.stats();
    assert_eq!(
        (stats.sessions.active + stats.attempts, stats.refused.sum(), lab.engine.ledger.newest()),
        (0, 0, 0)
    );
}

#[test]
fn a_client_may_reach_some_port_of_an_address_unless_the_list_denies_all() {
    let lab = lab(&[]);
    let may = |client: &str, server: Ipv4Addr| {
        let dialled = *faith(server, 1).ip();
        lab.engine.admission.permits_any_port([Protocol::Tcp], client.parse().unwrap(), dialled)
    };
    let public = Ipv4Addr::new(1, 1, 1, 1);
    assert!(may("2001:db8:2::7", public));
    assert!(!may("2001:db8:1::7", public));
    assert!(may("2001:db8:1::7", Ipv4Addr::new(10, 0, 0, 7)));
    assert!(!may("2001:db8:2::7", Ipv4Addr::new(192, 168, 1, 1)));
    assert!(!may("2001:db8:2::7", OWN_ADDRESS));
    let outside = "2001:db8::1".parse().unwrap();
    assert!(!lab.engine.admission.permits_any_port([Protocol::Tcp], outside, outside));
}

#[test]
fn a_client_may_reach_an_address_whose_mapping_names_a_permitted_port() {
    let dialled = *faith(Ipv4Addr::new(1, 1, 1, 1), 1).ip();
    let may = |port: u16| {
        let explicit = format!("{dialled}=9.9.9.9:{port}").parse().unwrap();
        let mappings = Mappings::new(Mapping::Rfc6052, [explicit]).unwrap();
        let access = AccessList::parse(LIST, "test").unwrap();
        let lab = Lab::new(RelayOptions { mappings, access, ..options() });
        lab.engine.admission.permits_any_port([Protocol::Tcp], "2001:db8:2::7".parse().unwrap(), dialled)
    };
    assert!(may(25));
    assert!(!may(80));
}
