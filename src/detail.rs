//! A session in detail.

use faith_relay::{SessionDetail, TcpInfo};
use napi_derive::napi;

use crate::live::{NativeLiveSession, now};
use crate::permission::NativeRule;
use crate::stats::{milliseconds, number};

/// A connection as the kernel describes it.
#[napi(object)]
pub struct NativeTcpInfo {
    /// The kernel's name of its state.
    pub state: String,
    /// Smoothed round-trip time in milliseconds; none before the first measurement.
    pub rtt_ms: Option<f64>,
    /// Mean deviation of the round-trip time in milliseconds, likewise.
    pub rtt_variance_ms: Option<f64>,
    /// Shortest round-trip time in milliseconds, likewise.
    pub minimum_rtt_ms: Option<f64>,
    /// Segments that may be in flight.
    pub congestion_window: u32,
    /// Bytes of a segment.
    pub mss: u32,
    /// Segments sent again.
    pub retransmitted: u32,
    /// Segments thought lost.
    pub lost: u32,
    /// Bytes sent and not acknowledged.
    pub unacknowledged: f64,
    /// Bytes not sent yet.
    pub unsent: f64,
    /// Bytes received and not read yet.
    pub unread: f64,
    /// Bytes a second that reached the peer.
    pub delivery_rate: Option<f64>,
    /// Bytes a second that the kernel sends at most.
    pub pacing_rate: Option<f64>,
    /// Time with bytes to send or to be acknowledged, in milliseconds.
    pub busy_ms: f64,
    /// Part of it with a full window of the peer.
    pub limited_by_peer_ms: f64,
    /// Part of it with a send buffer that was too small.
    pub limited_by_buffer_ms: f64,
    /// Name of the congestion control.
    pub congestion_control: String,
}

impl From<TcpInfo> for NativeTcpInfo {
    fn from(info: TcpInfo) -> Self {
        Self {
            state: info.state.to_owned(),
            rtt_ms: info.round_trip.map(milliseconds),
            rtt_variance_ms: info.round_trip_variance.map(milliseconds),
            minimum_rtt_ms: info.minimum_round_trip.map(milliseconds),
            congestion_window: info.congestion_window,
            mss: info.mss,
            retransmitted: info.retransmitted,
            lost: info.lost,
            unacknowledged: number(info.unacknowledged),
            unsent: number(info.unsent),
            unread: number(info.unread),
            delivery_rate: info.delivery_rate.map(number),
            pacing_rate: info.pacing_rate.map(number),
            busy_ms: milliseconds(info.busy),
            limited_by_peer_ms: milliseconds(info.limited_by_peer),
            limited_by_buffer_ms: milliseconds(info.limited_by_buffer),
            congestion_control: info.congestion_control,
        }
    }
}

/// An active session in detail.
#[napi(object)]
pub struct NativeSessionDetail {
    /// The session.
    pub session: NativeLiveSession,
    /// The connection to the client; none for datagrams.
    pub client: Option<NativeTcpInfo>,
    /// The connection to the server, likewise.
    pub server: Option<NativeTcpInfo>,
    /// Bytes inside the relay, for the server.
    pub waiting_up: u32,
    /// Bytes inside the relay, for the client.
    pub waiting_down: u32,
    /// The rule that permits it now; none if a default or a route does.
    pub rule: Option<NativeRule>,
    /// The side that takes bytes more slowly than the other gives them: `client` or `server`.
    pub slow: Option<String>,
}

impl From<SessionDetail> for NativeSessionDetail {
    fn from(detail: SessionDetail) -> Self {
        let SessionDetail { session, legs, waiting_up, waiting_down, rule, slow } = detail;
        let (client, server) = legs.unzip();
        Self {
            session: NativeLiveSession::of(&session, now()),
            client: client.map(Into::into),
            server: server.map(Into::into),
            waiting_up,
            waiting_down,
            rule: rule.map(NativeRule::from),
            slow: slow.map(|side| side.name().to_owned()),
        }
    }
}
