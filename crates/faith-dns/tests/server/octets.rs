//! Any octets from clients and from the upstream: the server goes on, and its answers are within bounds.

use std::io::Write;
use std::time::Duration;

use hickory_proto::op::Message;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use crate::lab::*;

/// The longest answer over UDP, in bytes.
const LONGEST: usize = 1232;

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { failure_persistence: None, cases, ..ProptestConfig::default() })
}

/// Octets that are damaged here and there, or any others.
fn damaged(whole: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let damage = (vec((any::<Index>(), any::<u8>()), 0..4), vec(any::<u8>(), 0..12));
    let damaged = damage.prop_map(move |(damage, tail)| {
        let mut octets = whole.clone();
        for (index, octet) in damage {
            let place = index.index(octets.len());
            octets[place] = octet;
        }
        octets.extend(tail);
        octets
    });
    prop_oneof![damaged, vec(any::<u8>(), 0..100)]
}

#[test]
fn clients_may_send_any_octets() {
    let lab = Lab::with(&[], |options| options.limits.rate = 0);
    let octets = damaged(query("v4.example. AAAA edns").to_vec().unwrap());
    runner(300)
        .run(&octets, |octets| {
            let socket = client();
            socket.send_to(&octets, lab.address()).unwrap();
            let mut last = query("ipv4only.arpa. A");
            last.metadata.id = 0xffff;
            socket.send_to(&last.to_vec().unwrap(), lab.address()).unwrap();
            // An answer to the octets may come before it.
            wait_for(|| {
                let mut buffer = [0; 4096];
                let (length, _) = socket.recv_from(&mut buffer).unwrap();
                assert!(length <= LONGEST);
                let response = Message::from_vec(&buffer[..length]).ok()?;
                (response.answers.len() == 2 && response.id == 0xffff).then_some(())
            });
            let mut stream = connect(lab.address());
            write_framed(&mut stream, &octets);
            // A frame that ends too early.
            let _ = stream.write_all(&[0xff, 0xff, 1]);
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            while read_framed(&mut stream).is_some() {}
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_upstream_may_send_any_octets() {
    runner(20)
        .run(&vec(damaged(zone(&query("v4.example. A edns")).to_vec().unwrap()), 4), |responses| {
            let upstream = Upstream::raw(move |query, by_tcp| {
                let mut responses = responses.clone();
                for (turn, response) in responses.iter_mut().enumerate() {
                    // Two of them answer the query that was asked.
                    if let Some(id) = response.first_chunk_mut().filter(|_| turn < 2 || by_tcp) {
                        *id = query.id.to_be_bytes();
                    }
                }
                responses
            });
            let lab = Lab::with(&[upstream.address], |options| {
                options.upstream_timeout = Duration::from_millis(10);
            });
            for text in ["v4.example. A edns", "v4.example. AAAA edns", "v4.example. AAAA"] {
                let (asked, socket) = (query(text), client());
                socket.send_to(&asked.to_vec().unwrap(), lab.address()).unwrap();
                let mut buffer = [0; 4096];
                let (length, _) = socket.recv_from(&mut buffer).unwrap();
                assert!(length <= LONGEST && buffer[..2] == asked.id.to_be_bytes());
                assert!(buffer[2] & 0x80 != 0, "a response");
            }
            Ok(())
        })
        .unwrap();
}
