use std::time::Duration;

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_network_has_its_rate_and_then_every_second_query_gets_a_short_answer() {
    let clients = Clients::new();
    let limits = Limits { rate: 10, ..Limits::default() };
    let admit = |client: &str| clients.admit(address(client), &limits);
    for _ in 0..20 {
        assert_eq!(admit("2001:db8:1::1"), Allowance::Answer);
    }
    let over: Vec<Allowance> = (0..4).map(|_| admit("2001:db8:1::2")).collect();
    assert_eq!(over, [Allowance::Slip, Allowance::Drop, Allowance::Slip, Allowance::Drop]);

    tokio::time::advance(Duration::from_millis(150)).await;
    assert_eq!(admit("2001:db8:1::3"), Allowance::Answer);
    assert_eq!(admit("2001:db8:1::3"), Allowance::Slip);
    tokio::time::advance(Duration::from_mins(1)).await;
    let answered = (0..40).filter(|_| admit("2001:db8:1::1") == Allowance::Answer).count();
    assert_eq!(answered, 20, "no more than two seconds are saved up");
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_0_is_no_limit() {
    let clients = Clients::new();
    let limits = Limits { rate: 0, ..Limits::default() };
    assert!((0..10_000).all(|_| clients.admit(address("192.0.2.1"), &limits) == Allowance::Answer));
}

#[tokio::test(start_paused = true)]
async fn turns_are_limited_for_a_client_and_for_all_and_given_back() {
    let clients = Clients::new();
    let limits = Limits { outstanding_per_client: 2, outstanding: 3, ..Limits::default() };
    let wait = |client: &str| clients.wait(address(client), &limits);
    let held = [wait("2001:db8:1::1"), wait("2001:db8:1::2")];
    assert!(held.iter().all(Option::is_some));
    assert!(wait("2001:db8:1::3").is_none(), "the client has two");
    // Networks share a place of the table in one case of 4096, so one of these has a place of its own.
    let others: Vec<Turn> = (2..10).filter_map(|low| wait(&format!("2001:db8:{low}::1"))).collect();
    assert_eq!(others.len(), 1, "all have three");
    drop(held);
    assert!(wait("2001:db8:1::1").is_some());
}

#[test]
fn an_ipv4_client_is_the_same_in_an_ipv6_address() {
    let clients = Clients::new();
    assert_eq!(clients.place_of(address("192.0.2.1")), clients.place_of(address("::ffff:192.0.2.1")));
}
