//! Records for tests.

use std::time::{Duration, UNIX_EPOCH};

use faith_relay::{Protocol, RefusalReason, RefusalRecord, SessionEnd, SessionRecord};

pub(crate) fn session() -> SessionRecord {
    SessionRecord {
        protocol: Protocol::Tcp,
        id: 7,
        client: "[2001:db8::1]:40000".parse().unwrap(),
        destination: "[64:ff9b::c633:6402]:80".parse().unwrap(),
        server: "198.51.100.2:80".parse().ok(),
        source: "198.51.100.1:45986".parse().ok(),
        bytes_up: 12,
        bytes_down: 17,
        started: UNIX_EPOCH + Duration::from_millis(1_796_043_787_123),
        duration: Duration::from_micros(1_500_250),
        reason: SessionEnd::Closed,
        cause: None,
        tag: None,
        name: None,
    }
}

pub(crate) fn refusal() -> RefusalRecord {
    let session = session();
    RefusalRecord {
        protocol: Protocol::Tcp,
        id: session.id,
        client: session.client,
        destination: session.destination,
        server: session.server,
        started: session.started,
        duration: Duration::from_millis(3),
        reason: RefusalReason::Refused,
        cause: None,
        rule: None,
        errno: None,
        tag: None,
    }
}
