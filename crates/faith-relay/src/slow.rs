//! Finds the side of a session that takes bytes more slowly than the other gives them.
//!
//! Bytes pile up in front of a slow side. The relay takes no more than one read ahead of it, so they wait in four places, in
//! this order: unsent in the send queue of the slow side's leg, inside the relay, unread in the receive queue of the other
//! leg, and at last at the other side itself. A side is slow if two of these hold bytes, the first of them always: its send
//! queue alone holds some for a moment in every transfer. Little data fills the first place only. Then the side is slow if
//! its closed receive window, rather than the network, has held bytes back for most of the time.
//!
//! A side that does not read stops one that answers: an echo server whose client does not read stops reading too, so both
//! seem slow. The receive window of the first one has been closed for longer.

use faith_sys::info::TcpInfo;

use crate::side::Side;

/// The slow side, if one is. `waiting_up` and `waiting_down` are the bytes inside the relay, for the server and for the
/// client.
pub(crate) fn slow_side(
    client: &TcpInfo,
    server: &TcpInfo,
    waiting_up: u32,
    waiting_down: u32,
) -> Option<Side> {
    match (is_slow(client, server, waiting_down), is_slow(server, client, waiting_up)) {
        (true, false) => Some(Side::Client),
        (false, true) => Some(Side::Server),
        (true, true) if client.limited_by_peer > server.limited_by_peer => Some(Side::Client),
        (true, true) if server.limited_by_peer > client.limited_by_peer => Some(Side::Server),
        _ => None,
    }
}

/// Tells whether the peer of `sink` takes bytes more slowly than the peer of `source` gives them. `waiting` bytes are on
/// their way inside the relay.
fn is_slow(sink: &TcpInfo, source: &TcpInfo, waiting: u32) -> bool {
    let piles_up = waiting > 0 || source.unread > 0;
    let closes_its_window = sink.limited_by_peer > sink.busy / 2;
    sink.unsent > 0 && (piles_up || closes_its_window)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn idle() -> TcpInfo {
        TcpInfo::default()
    }

    /// A leg with unsent bytes, whose peer was full for so long.
    fn full(limited: u32) -> TcpInfo {
        TcpInfo { unsent: 1000, busy: 10 * SECOND, limited_by_peer: limited * SECOND, ..idle() }
    }

    fn with_unread(leg: TcpInfo) -> TcpInfo {
        TcpInfo { unread: 1000, ..leg }
    }

    #[test]
    fn a_session_without_bytes_has_no_slow_side() {
        assert_eq!(slow_side(&idle(), &idle(), 0, 0), None);
    }

    #[test]
    fn the_side_is_slow_in_front_of_which_bytes_wait_inside_the_relay() {
        assert_eq!(slow_side(&full(0), &idle(), 0, 1), Some(Side::Client));
        assert_eq!(slow_side(&idle(), &full(0), 1, 0), Some(Side::Server));
    }

    #[test]
    fn the_side_is_slow_in_front_of_which_bytes_of_the_other_are_unread() {
        assert_eq!(slow_side(&full(0), &with_unread(idle()), 0, 0), Some(Side::Client));
        assert_eq!(slow_side(&with_unread(idle()), &full(0), 0, 0), Some(Side::Server));
    }

    #[test]
    fn little_data_shows_a_slow_side_by_its_closed_window() {
        assert_eq!(slow_side(&full(6), &idle(), 0, 0), Some(Side::Client));
        assert_eq!(slow_side(&idle(), &full(6), 0, 0), Some(Side::Server));
    }

    #[test]
    fn bytes_that_are_about_to_leave_make_no_side_slow() {
        assert_eq!(slow_side(&full(5), &full(5), 0, 0), None, "unsent for a moment");
        assert_eq!(slow_side(&with_unread(idle()), &with_unread(idle()), 0, 0), None, "just arrived");
        assert_eq!(slow_side(&idle(), &idle(), 1, 1), None, "the relay is in the middle of its turn");
    }

    #[test]
    fn the_window_of_the_past_makes_no_side_slow_that_takes_all_bytes_now() {
        let recovered = TcpInfo { unsent: 0, ..full(9) };
        assert_eq!(slow_side(&recovered, &with_unread(idle()), 0, 0), None);
    }

    #[test]
    fn of_two_full_sides_the_one_is_slow_that_has_been_full_for_longer() {
        assert_eq!(slow_side(&full(9), &full(8), 1, 1), Some(Side::Client));
        assert_eq!(slow_side(&full(8), &full(9), 1, 1), Some(Side::Server));
        assert_eq!(slow_side(&full(8), &full(8), 1, 1), None);
    }
}
