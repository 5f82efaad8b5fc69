//! Adds prefixes to a running interface, and removes them.

use std::io;
use std::sync::Arc;

use faith_packet::classify::Classifier;
use faith_packet::prefix::{FaithPrefix, PrefixSet};

use super::FaithInterface;
use crate::error::StackError;
use crate::namespace::Inside;
use crate::netlink::{Device, Netlink};

impl FaithInterface {
    /// Captures `prefix` too, from now on. Blocks briefly.
    ///
    /// # Errors
    /// An overlap with a prefix of the interface, a route for the prefix to elsewhere, or a closed interface.
    pub fn add_prefix(&self, prefix: FaithPrefix) -> Result<(), StackError> {
        let _open = self.opened()?;
        let mut prefixes = self.prefixes();
        prefixes.insert(prefix)?;
        self.inside(prefix, "add the local route of", "RTM_NEWROUTE", Inside::add_prefix)?;
        let passes = self.shared.shortcut.as_ref().map_or(Ok(()), |shortcut| shortcut.add_prefix(&prefix));
        if let Err(error) = passes {
            let _ = self.namespace.run(move |inside| inside.remove_prefix(&prefix));
            let what = format!("add {prefix} to the shortcut of {}", self.shared.name);
            return Err(StackError::system(what, "bpf", error));
        }
        if self.routes
            && let Err(error) = self.route(&prefix, Netlink::add_route)
        {
            // The caller gets the route's error, which has a remedy.
            self.stop_passing(&prefix);
            let _ = self.namespace.run(move |inside| inside.remove_prefix(&prefix));
            let exists = error.kind() == io::ErrorKind::AlreadyExists;
            let other = exists.then(|| routed_through(&prefix)).flatten();
            let because = other.map(|device| format!(", because {device} has a route for it"));
            let what = format!("route {prefix} to {}{}", self.shared.name, because.unwrap_or_default());
            let hint = exists.then_some(
                "remove that route, or route by hand with --no-routes (in a program: routes: false)",
            );
            return Err(StackError::System { what, syscall: "RTM_NEWROUTE", source: error, hint });
        }
        self.classify(prefixes);
        Ok(())
    }

    /// Stops capturing `prefix`. Its connections stall. Blocks briefly.
    ///
    /// # Errors
    /// A prefix that the interface does not have, or a closed interface.
    pub fn remove_prefix(&self, prefix: FaithPrefix) -> Result<(), StackError> {
        let _open = self.opened()?;
        let mut prefixes = self.prefixes();
        if !prefixes.remove(&prefix) {
            return Err(StackError::NoSuchPrefix { interface: self.shared.name.clone(), prefix });
        }
        if self.routes {
            // The operator may have removed the route already.
            let _ = self.route(&prefix, Netlink::remove_route);
        }
        self.stop_passing(&prefix);
        self.classify(prefixes);
        self.inside(prefix, "remove the local route of", "RTM_DELROUTE", Inside::remove_prefix)
    }

    fn stop_passing(&self, prefix: &FaithPrefix) {
        if let Some(shortcut) = &self.shared.shortcut {
            shortcut.remove_prefix(prefix);
        }
    }

    fn classify(&self, prefixes: PrefixSet) {
        self.shared.classifier.store(Arc::new(Classifier::new(prefixes, self.unsupported)));
    }

    fn route(
        &self,
        prefix: &FaithPrefix,
        change: impl FnOnce(&Netlink, &FaithPrefix, Device) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let (prefix, device) = (*prefix, self.device);
        self.host.change(move |netlink| change(netlink, &prefix, device))
    }

    fn inside(
        &self,
        prefix: FaithPrefix,
        what: &str,
        request: &'static str,
        change: impl FnOnce(&Inside, &FaithPrefix) -> io::Result<()> + Send + 'static,
    ) -> Result<(), StackError> {
        self.namespace.run(move |inside| change(inside, &prefix)).ok_or_else(|| self.closed())?.map_err(
            |error| {
                let what = format!("{what} {prefix} inside {}", self.shared.name);
                StackError::system(what, request, error)
            },
        )
    }
}

/// The name of the device that a route for `prefix` leads to, for an error. `None` if there is none, or netlink fails.
fn routed_through(prefix: &FaithPrefix) -> Option<String> {
    let netlink = Netlink::connect().ok()?;
    let (_, device) = netlink.routed_to(prefix).ok()??;
    netlink.name(device?).ok()?
}
