//! The names that clients asked for before they dialled.
//!
//! A DNS server of this process tells which addresses it gave a client for a name. A session that begins looks up its
//! client and the dialled address once. Without such a server the table does not exist.
//!
//! The table is the process's, as addresses are: an address is in a prefix of one interface alone. Each client has a
//! place, which keeps its latest answers. Clients that fall on the same place share it; the places are keyed by a secret,
//! so that no client can choose to push out the names of another.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::net::Ipv6Addr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const PLACES: usize = 1024;

/// The answers that a place keeps.
const ANSWERS: usize = 64;

/// The time for which a name is kept after its TTL: programs use addresses for longer than they may.
const GRACE: Duration = Duration::from_mins(5);

static TABLE: OnceLock<Names> = OnceLock::new();

/// Notes that `client` got these addresses for `name`, and may keep them for `ttl`.
pub fn remember(client: Ipv6Addr, name: &str, addresses: &[Ipv6Addr], ttl: Duration) {
    TABLE.get_or_init(Names::new).remember(client, name, addresses, Instant::now() + ttl + GRACE);
}

/// The last name for which `client` got this address.
pub(crate) fn name_of(client: Ipv6Addr, address: Ipv6Addr) -> Option<Arc<str>> {
    TABLE.get()?.name_of(client, address, Instant::now())
}

struct Names {
    secret: RandomState,
    places: Vec<Mutex<VecDeque<Answer>>>,
}

struct Answer {
    client: Ipv6Addr,
    addresses: Box<[Ipv6Addr]>,
    name: Arc<str>,
    until: Instant,
}

impl Names {
    fn new() -> Self {
        let places = (0..PLACES).map(|_| Mutex::default()).collect();
        Self { secret: RandomState::new(), places }
    }

    fn place_of(&self, client: Ipv6Addr) -> Option<&Mutex<VecDeque<Answer>>> {
        let place = self.secret.hash_one(client) % PLACES as u64;
        self.places.get(usize::try_from(place).ok()?)
    }

    fn remember(&self, client: Ipv6Addr, name: &str, addresses: &[Ipv6Addr], until: Instant) {
        let Some(place) = self.place_of(client) else { return };
        let mut answers = place.lock();
        let same = |answer: &Answer| {
            answer.client == client && *answer.name == *name && *answer.addresses == *addresses
        };
        let answer = match answers.iter().position(same).and_then(|index| answers.remove(index)) {
            Some(known) => Answer { until, ..known },
            None => Answer { client, addresses: addresses.into(), name: name.into(), until },
        };
        if answers.len() == ANSWERS {
            answers.pop_front();
        }
        answers.push_back(answer);
    }

    fn name_of(&self, client: Ipv6Addr, address: Ipv6Addr, now: Instant) -> Option<Arc<str>> {
        let answers = self.place_of(client)?.lock();
        let mut latest = answers.iter().rev();
        let answer = latest.find(|answer| {
            answer.client == client && answer.until > now && answer.addresses.contains(&address)
        });
        answer.map(|answer| Arc::clone(&answer.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_mins(1);

    fn address(last: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xc633, last)
    }

    fn client(last: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, last)
    }

    #[test]
    fn the_last_name_of_an_address_is_that_of_its_client_alone() {
        let (names, now) = (Names::new(), Instant::now());
        let tell =
            |who, name, addresses: &[Ipv6Addr]| names.remember(client(who), name, addresses, now + TTL);
        let ask = |who, last| names.name_of(client(who), address(last), now);
        tell(1, "one.example", &[address(1), address(2)]);
        tell(1, "two.example", &[address(2)]);
        tell(2, "other.example", &[address(1)]);
        assert_eq!(ask(1, 1).as_deref(), Some("one.example"));
        assert_eq!(ask(1, 2).as_deref(), Some("two.example"));
        assert_eq!(ask(2, 1).as_deref(), Some("other.example"));
        assert_eq!(ask(2, 2), None);
        tell(1, "one.example", &[address(1), address(2)]);
        assert_eq!(ask(1, 2).as_deref(), Some("one.example"));
    }

    #[test]
    fn a_name_is_forgotten_after_its_time() {
        let (names, now) = (Names::new(), Instant::now());
        names.remember(client(1), "one.example", &[address(1)], now + TTL);
        let ask = |after| names.name_of(client(1), address(1), now + after);
        assert!(ask(TTL / 2).is_some());
        assert_eq!(ask(TTL), None);
        names.remember(client(1), "one.example", &[address(1)], now + 2 * TTL);
        assert!(ask(TTL).is_some());
    }

    #[test]
    fn a_place_keeps_the_latest_answers() {
        let (names, now) = (Names::new(), Instant::now());
        let all = u16::try_from(ANSWERS).unwrap() + 1;
        for last in 0..all {
            names.remember(client(1), &format!("n{last}.example"), &[address(last)], now + TTL);
        }
        assert_eq!(names.name_of(client(1), address(0), now), None);
        for last in 1..all {
            let name = names.name_of(client(1), address(last), now).unwrap();
            assert_eq!(*name, format!("n{last}.example"));
        }
    }
}
