//! Any octets are three messages, or errors, and the response made of the messages is within bounds.
//!
//! The first two octets give the length of the query, the next two that of the AAAA response. The A
//! response is the rest.

#![no_main]

#[path = "../../tests/octets/invariants.rs"]
mod invariants;

use hickory_proto::op::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((query, rest)) = message(data) else { return };
    let Some((aaaa, rest)) = message(rest) else { return };
    let (Ok(query), Ok(aaaa)) = (Message::from_vec(query), Message::from_vec(aaaa)) else { return };
    let Ok(a) = Message::from_vec(rest) else { return };
    let Some(options) = invariants::options() else { return };
    invariants::check(&query, &aaaa, &a, &options);
});

fn message(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
