use super::SecureUpstream;

fn read(text: &str) -> Option<String> {
    let upstream: SecureUpstream = text.parse().ok()?;
    let name = upstream.certified().unwrap();
    Some(format!("{upstream} for {}", name.to_str()))
}

#[test]
fn urls_are_read_and_written_with_their_ports() {
    for (text, expected) in [
        ("tls://192.0.2.53", "tls://192.0.2.53:853 for 192.0.2.53"),
        ("tls://192.0.2.53:8853#Dns.Example", "tls://192.0.2.53:8853#Dns.Example for Dns.Example"),
        ("tls://[2001:db8::53]#dns.example", "tls://[2001:db8::53]:853#dns.example for dns.example"),
        ("tls://[2001:db8::53]:54", "tls://[2001:db8::53]:54 for 2001:db8::53"),
        ("https://192.0.2.53/dns-query", "https://192.0.2.53:443/dns-query for 192.0.2.53"),
        ("https://Dns.Example/dns-query", "https://dns.example:443/dns-query for dns.example"),
        ("https://192.0.2.53:8443/a/b#x.example", "https://192.0.2.53:8443/a/b#x.example for x.example"),
    ] {
        assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        // The written form reads as itself.
        let written = text.parse::<SecureUpstream>().unwrap().to_string();
        assert_eq!(read(&written), read(text));
    }
}

#[test]
fn other_texts_are_refused() {
    for text in [
        "192.0.2.53",
        "udp://192.0.2.53",
        "tls://",
        "tls://192.0.2.53/dns-query",
        "tls://192.0.2.53:0",
        "tls://192.0.2.53:65536",
        "tls://192.0.2.53#",
        "tls://192.0.2.53#a b",
        "tls://192.0.2.53.7",
        "tls://2001:db8::53",
        "tls://[2001:db8::53",
        "tls://[192.0.2.53]",
        "https://192.0.2.53",
        "https://user@dns.example/dns-query",
        "https://dns.example/dns query",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn http_names_the_host_of_the_certificate() {
    let authority = |text: &str| text.parse::<SecureUpstream>().unwrap().authority();
    assert_eq!(authority("https://192.0.2.53/dns-query#dns.example"), "dns.example");
    assert_eq!(authority("https://[2001:db8::53]:444/dns-query"), "[2001:db8::53]:444");
}
