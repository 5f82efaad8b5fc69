use super::*;

fn servers(text: &str) -> Vec<String> {
    parse(text).iter().map(ToString::to_string).collect()
}

#[test]
fn nameserver_lines_are_read_and_others_skipped() {
    let text = "# comment\nsearch example\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 trailing\n\
                nameserver\nnameserver nonsense\nnameservers 192.0.2.9\n;nameserver 192.0.2.8\n";
    assert_eq!(servers(text), ["192.0.2.1:53", "[2001:db8::1]:53"]);
}

#[test]
fn a_link_local_server_has_the_index_of_its_interface() {
    let lo = parse("nameserver fe80::1%lo\n");
    let by_number = parse("nameserver fe80::1%1\n");
    assert_eq!(lo, by_number);
    assert_eq!(lo, [SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 53, 0, 1))]);
    assert!(parse("nameserver fe80::1%nosuchinterface\n").is_empty());
}

#[test]
fn a_long_file_gives_the_first_servers() {
    let lines: Vec<String> = (1..=20).map(|low| format!("nameserver 192.0.2.{low}")).collect();
    assert_eq!(parse(&lines.join("\n")).len(), MAX_SERVERS);
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_read_again_and_a_missing_one_changes_nothing() {
    let path = std::env::temp_dir().join(format!("faith-dns-resolv-{}.conf", std::process::id()));
    let mut file = ResolvConf::new(path.clone());
    assert!(file.servers().is_empty());

    for (text, expected) in
        [("nameserver 192.0.2.1\n", "192.0.2.1:53"), ("nameserver 192.0.2.20\n", "192.0.2.20:53")]
    {
        fs::write(&path, text).unwrap();
        tokio::time::advance(PAUSE).await;
        assert_eq!(file.servers(), [expected.parse().unwrap()]);
    }
    fs::remove_file(&path).unwrap();
    tokio::time::advance(PAUSE).await;
    assert_eq!(file.servers(), ["192.0.2.20:53".parse().unwrap()]);
}
