use super::*;
use crate::rfc6052::Mapping;

fn mapping(text: &str) -> ExplicitMapping {
    text.parse().unwrap()
}

fn error(text: &str) -> String {
    text.parse::<ExplicitMapping>().unwrap_err().to_string()
}

fn resolve(mappings: &[&str], dialled: &str) -> Option<SocketAddrV4> {
    let mappings = Mappings::new(Mapping::Rfc6052, mappings.iter().map(|text| mapping(text))).unwrap();
    let prefix = "2001:db8:64::/48".parse().unwrap();
    mappings.resolve(&prefix, dialled.parse().unwrap())
}

fn server(text: &str) -> Option<SocketAddrV4> {
    text.parse().ok()
}

#[test]
fn an_address_without_an_explicit_mapping_means_what_it_embeds() {
    let list = ["2001:db8:64:a::/120=192.0.2.0/24"];
    assert_eq!(resolve(&list, "[2001:db8:64:c633:64:200::]:80"), server("198.51.100.2:80"));
    assert_eq!(resolve(&[], "[2001:db8:64:c633:64:200::]:80"), server("198.51.100.2:80"));
    assert_eq!(resolve(&list, "[2001:db8:65::1]:80"), None);
}

#[test]
fn low32_reads_the_last_32_bits() {
    let mappings = Mappings::new(Mapping::Low32, []).unwrap();
    let prefix = "2001:db8:64::/48".parse().unwrap();
    let dialled = "[2001:db8:64::c633:6402]:80".parse().unwrap();
    assert_eq!(mappings.resolve(&prefix, dialled), "198.51.100.2:80".parse().ok());
}

#[test]
fn embed_gives_the_address_that_resolves_to_the_server() {
    let server = Ipv4Addr::new(198, 51, 100, 2);
    for (otherwise, expected) in
        [(Mapping::Rfc6052, "2001:db8:64:c633:64:200::"), (Mapping::Low32, "2001:db8:64::c633:6402")]
    {
        let mappings = Mappings::new(otherwise, []).unwrap();
        let prefix = "2001:db8:64::/48".parse().unwrap();
        let address = mappings.embed(&prefix, server).unwrap();
        assert_eq!(address.to_string(), expected);
        assert_eq!(
            mappings.resolve(&prefix, SocketAddrV6::new(address, 80, 0, 0)),
            Some(SocketAddrV4::new(server, 80))
        );
    }
}

#[test]
fn embed_gives_no_address_that_an_explicit_mapping_gives_to_another_server() {
    let server = Ipv4Addr::new(198, 51, 100, 2);
    let prefix = "64:ff9b::/96".parse().unwrap();
    let other = Mappings::new(Mapping::Rfc6052, [mapping("64:ff9b::c633:6402=192.0.2.25")]).unwrap();
    assert_eq!(other.embed(&prefix, server), None);
    let same = Mappings::new(Mapping::Rfc6052, [mapping("64:ff9b::c633:6402=198.51.100.2:8080")]).unwrap();
    assert_eq!(same.embed(&prefix, server), "64:ff9b::c633:6402".parse().ok());
}

#[test]
fn a_mapped_prefix_keeps_the_last_bits_and_the_port() {
    let list = ["2001:db8:64:a::/120=192.0.2.0/24"];
    assert_eq!(resolve(&list, "[2001:db8:64:a::]:22"), server("192.0.2.0:22"));
    assert_eq!(resolve(&list, "[2001:db8:64:a::ff]:0"), server("192.0.2.255:0"));
    assert_ne!(resolve(&list, "[2001:db8:64:a::100]:22"), server("192.0.2.0:22"));
    let whole = ["2001:db8:64::/96=0.0.0.0/0"];
    assert_eq!(resolve(&whole, "[2001:db8:64::fffe:fdfc]:9"), server("255.254.253.252:9"));
}

#[test]
fn a_mapped_address_may_have_another_port() {
    assert_eq!(resolve(&["2001:db8:64::80=192.0.2.1"], "[2001:db8:64::80]:443"), server("192.0.2.1:443"));
    let list = ["2001:db8:64::80=192.0.2.1:8080"];
    for dialled in ["[2001:db8:64::80]:80", "[2001:db8:64::80]:443"] {
        assert_eq!(resolve(&list, dialled), server("192.0.2.1:8080"));
    }
}

#[test]
fn the_longest_prefix_decides_in_any_order() {
    let mut list = [
        "2001:db8:64:a::/120=192.0.2.0/24",
        "2001:db8:64:a::10/124=198.51.100.16/28",
        "2001:db8:64:a::11=203.0.113.1:8080",
        "2001:db8:64:a::20/124=10.0.0.0/28",
    ];
    for _ in 0..list.len() {
        list.rotate_left(1);
        assert_eq!(resolve(&list, "[2001:db8:64:a::f]:22"), server("192.0.2.15:22"));
        assert_eq!(resolve(&list, "[2001:db8:64:a::10]:22"), server("198.51.100.16:22"));
        assert_eq!(resolve(&list, "[2001:db8:64:a::11]:22"), server("203.0.113.1:8080"));
        assert_eq!(resolve(&list, "[2001:db8:64:a::12]:22"), server("198.51.100.18:22"));
        assert_eq!(resolve(&list, "[2001:db8:64:a::2f]:22"), server("10.0.0.15:22"));
        assert_eq!(resolve(&list, "[2001:db8:64:a::30]:22"), server("192.0.2.48:22"));
    }
}

#[test]
fn several_prefixes_may_mean_the_same_servers() {
    let list = ["2001:db8:64::1=192.0.2.1", "2001:db8:64::2=192.0.2.1"];
    assert_eq!(resolve(&list, "[2001:db8:64::1]:1"), resolve(&list, "[2001:db8:64::2]:1"));
}

#[test]
fn two_mappings_of_one_prefix_are_refused() {
    let twice =
        ["2001:db8::80=192.0.2.1:80", "2001:db8::/96=0.0.0.0/0", "2001:db8::80=192.0.2.2"].map(mapping);
    let error = Mappings::new(Mapping::Rfc6052, twice).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2001:db8::80/128 is mapped twice, to 192.0.2.1:80 and to 192.0.2.2/32; remove one of them"
    );
}

#[test]
fn prefixes_of_different_sizes_are_refused_with_the_right_length() {
    assert_eq!(
        error("64:ff9b::/96=10.0.0.0/8"),
        "64:ff9b::/96 leaves 32 bits of an address open and 10.0.0.0/8 leaves 24; \
        for 10.0.0.0/8 write an IPv6 prefix of /104"
    );
    assert!(error("2001:db8::/64=0.0.0.0/0").ends_with("for 0.0.0.0/0 write an IPv6 prefix of /96"));
    assert!(error("2001:db8::/120=192.0.2.1").ends_with("for 192.0.2.1/32 write an IPv6 prefix of /128"));
}

#[test]
fn a_port_is_refused_for_several_addresses_and_if_it_is_0() {
    assert_eq!(
        error("2001:db8::/120=192.0.2.1:80"),
        "2001:db8::/120 is more than one address and cannot mean 192.0.2.1:80; \
        write one, or leave out the port"
    );
    assert_eq!(error("2001:db8::1=192.0.2.1:0"), "192.0.2.1:0: port 0 is not a port; use 1 to 65535");
}

#[test]
fn text_that_is_no_mapping_is_refused_with_what_to_write() {
    assert_eq!(
        error("2001:db8::1"),
        "\"2001:db8::1\" is not a mapping; write IPV6/LENGTH=IPV4/LENGTH or IPV6=IPV4:PORT"
    );
    assert!(error("192.0.2.1=2001:db8::1").contains("\"192.0.2.1\" is not an IPv6 prefix"));
    assert!(error("2001:db8::1=example.net").contains("\"example.net\" is not an IPv4 prefix"));
    for server in
        ["example.net:80", "2001:db8::2", "192.0.2.1:http", "192.0.2.1:65536", ":80", "192.0.2.0/24:80"]
    {
        let expected = format!("{server:?} is not a server; write ADDRESS:PORT, like 198.51.100.80:8080");
        assert_eq!(error(&format!("2001:db8::1={server}")), expected);
    }
}

#[test]
fn a_mapping_is_shown_as_it_is_read() {
    for text in
        ["64:ff9b::a00:0/104=10.0.0.0/8", "2001:db8::1/128=192.0.2.1/32", "2001:db8::1/128=192.0.2.1:80"]
    {
        assert_eq!(mapping(text).to_string(), text);
    }
    assert_eq!(mapping("2001:db8::1=192.0.2.1").to_string(), "2001:db8::1/128=192.0.2.1/32");
}
