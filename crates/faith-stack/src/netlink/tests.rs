use faith_sys::netns;

use super::*;

fn in_a_namespace(test: fn()) {
    std::thread::spawn(move || match netns::unshare_network() {
        Ok(()) => test(),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "cannot make a network namespace: {error}");
        }
    })
    .join()
    .unwrap();
}

#[test]
fn a_host_without_addresses_gives_an_empty_list() {
    in_a_namespace(|| {
        let netlink = Netlink::connect().unwrap();
        assert_eq!(netlink.own_addresses().unwrap(), []);
        netlink.loopback_up().unwrap();
        let own = netlink.own_addresses().unwrap();
        for (address, length) in [("127.0.0.0", 8), ("::1", 128)] {
            assert!(own.contains(&(address.parse().unwrap(), length)), "{address} in {own:?}");
        }
    });
}

#[test]
fn a_broken_connection_is_an_error_and_not_an_empty_answer() {
    in_a_namespace(|| {
        let netlink = Netlink::connect().unwrap();
        let loopback = netlink.loopback_up().unwrap();
        // The connection's task ends while the next request is on its way to it.
        netlink.connection.abort();
        assert_eq!(netlink.own_addresses().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(netlink.own_addresses().is_err());

        let broken = || {
            let netlink = Netlink::connect().unwrap();
            netlink.connection.abort();
            netlink
        };
        assert!(broken().is_up(loopback).is_err());
        assert!(broken().exists("lo").is_err());
        assert!(broken().largest_mtu(u32::MAX).is_err());
        assert!(broken().routed_to(&"64:ff9b::/96".parse().unwrap()).is_err());
        let prefix = "64:ff9b::/96".parse().unwrap();
        assert!(broken().add_local(&prefix, loopback).is_err());
    });
}
