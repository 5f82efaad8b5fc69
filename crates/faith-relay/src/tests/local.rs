//! This host serves destinations itself: by a program, or by its own listeners.

use faith_packet::protocol::Protocol;
use std::io::Write as _;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::mpsc::Receiver;

use super::*;
use crate::cause::Cause;
use crate::{Local, LocalService, Taker};

struct Takes(Sender<Captured>);

impl Taker for Takes {
    fn take(&self, _worker: usize, connection: Captured) {
        self.0.send(connection).unwrap();
    }
}

fn lab(local: Local, list: &str) -> (Lab, Receiver<Captured>) {
    let (given, taken) = channel();
    let access = AccessList::parse(list, "test").unwrap();
    let sink = Arc::new(Takes(given));
    (Lab::new(RelayOptions { access, local, taker: Some(sink), ..options() }), taken)
}

fn service(address: Option<Ipv4Addr>) -> Local {
    Local { services: vec![LocalService { address, ports: PortSet::all() }], host: false }
}

fn cause(lab: &Lab, address: Ipv4Addr) -> Option<Cause> {
    let server = SocketAddr::V4(SocketAddrV4::new(address, 22));
    lab.engine.admission.permission(Protocol::Tcp, Ipv6Addr::LOCALHOST, server).cause
}

#[test]
fn a_service_gets_a_connection_to_its_address() {
    // The lab's client dials the loopback address, which a service may name.
    let (lab, taken) = lab(service(Some(Ipv4Addr::LOCALHOST)), "");
    let mut client = lab.dial();
    let connection = taken.recv_timeout(PATIENCE).unwrap();
    assert_eq!(connection.destination, lab.destination);
    let far = TcpStream::from(connection.socket);
    assert_eq!(SockRef::from(&far).linger().unwrap(), None, "it has the defaults of socket(2)");
    (&far).write_all(b"served").unwrap();
    drop(far);
    assert_eq!(read_to_end(&mut client), b"served");
    eventually("the attempt to be counted", || lab.engine.stats().handed_over == 1 && lab.is_idle());
}

#[test]
fn the_access_list_judges_a_served_address_as_a_public_one() {
    for (list, expected) in [
        ("", None),
        ("::/0 permit 0.0.0.0/0", None),
        ("::/0 deny 8.0.0.0/8\n::/0 permit 0.0.0.0/0", Some(Cause::DeniedByRule)),
        ("2001:db8::/32 permit 0.0.0.0/0", Some(Cause::DeniedNoMatch)),
    ] {
        assert_eq!(cause(&lab(service(None), list).0, OWN_ADDRESS), expected, "{list}");
        let host = Local { services: Vec::new(), host: true };
        assert_eq!(cause(&lab(host, list).0, OWN_ADDRESS), expected, "{list}");
    }
}

#[test]
fn a_service_opens_no_other_address() {
    let (lab, _) = lab(service(None), "");
    assert_eq!(cause(&lab, Ipv4Addr::new(192, 168, 1, 1)), Some(Cause::SpecialPurpose));
    assert_eq!(cause(&self::lab(Local::default(), "").0, OWN_ADDRESS), Some(Cause::OwnAddress));
}

#[test]
fn a_denied_client_of_a_service_is_not_handed_over() {
    let (lab, taken) = lab(service(Some(Ipv4Addr::LOCALHOST)), "::/0 deny 127.0.0.0/8");
    let mut client = lab.dial();
    assert_eq!(read_to_reset(&mut client), b"");
    assert_eq!(lab.refused().cause, Some(Cause::DeniedByRule));
    assert!(taken.try_recv().is_err());
}
