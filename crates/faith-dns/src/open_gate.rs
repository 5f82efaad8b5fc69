//! A gate for tests: it permits everything, and keeps the faults that it hears of.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use crate::settings::{Fault, Gate};

#[derive(Default)]
pub(crate) struct OpenGate(Mutex<Vec<Fault>>);

impl OpenGate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The troubles of upstreams, with `answers` where one answers again.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let trouble = |fault: &Fault| match fault {
            Fault::Upstream { trouble, .. } => Some(trouble.as_deref().unwrap_or("answers").to_owned()),
            _ => None,
        };
        self.0.lock().unwrap().iter().filter_map(trouble).collect()
    }
}

impl Gate for OpenGate {
    fn is_open(&self) -> bool {
        true
    }

    fn permits(&self, _: IpAddr, _: Ipv6Addr) -> bool {
        true
    }

    fn is_local(&self, _: IpAddr) -> bool {
        true
    }

    fn warn_of(&self, fault: Fault) {
        self.0.lock().unwrap().push(fault);
    }
}
