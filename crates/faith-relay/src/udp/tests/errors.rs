//! Errors of servers, on their way to clients.

use super::{Server, World, client};
use crate::record::SessionEnd;
use crate::udp::UdpOptions;

#[test]
fn a_closed_port_of_a_server_is_told_to_the_client_and_ends_no_mapping() {
    World::run(UdpOptions::default(), async |world| {
        let (closed, open) = (Server::new(), Server::new());
        let dialled = closed.dialled();
        closed.refuse();
        world.send(5000, dialled, b"anybody there?");
        let error = world.eventually("an error", || world.wire.errors.borrow_mut().pop()).await;
        assert_eq!((error[40], error[41]), (1, 4), "port unreachable");
        assert_eq!(error[8..24], dialled.ip().octets(), "from the server");
        assert_eq!(error[24..40], client(1).ip().octets());
        // The quote: the client's own headers and data.
        let quote = &error[48..];
        assert_eq!((&quote[8..24], &quote[24..40]), (&error[24..40], &error[8..24]));
        assert_eq!(quote[40..44], [5000_u16.to_be_bytes(), dialled.port().to_be_bytes()].concat());
        assert_eq!(&quote[48..], b"anybody there?");
        // The error meets no datagram to another server.
        world.send(5000, open.dialled(), b"you, then");
        let (data, mapped) = open.hears();
        assert_eq!(data, b"you, then");
        open.says(b"here", mapped);
        assert_eq!(world.got().await.data, b"here");
        assert_eq!(world.engine.stats().sessions.active, 2);
        assert_eq!(world.engine.stats().sessions.ended.of(SessionEnd::Error), 0);
    });
}

#[test]
fn many_errors_in_a_row_hinder_no_other_server() {
    World::run(UdpOptions::default(), async |world| {
        let (closed, open) = (Server::new(), Server::new());
        let dialled = closed.dialled();
        closed.refuse();
        for round in 0..50_u8 {
            world.send(5000, dialled, b"anybody there?");
            world.send(5000, open.dialled(), &[round]);
            assert_eq!(open.hears().0, [round]);
        }
    });
}
