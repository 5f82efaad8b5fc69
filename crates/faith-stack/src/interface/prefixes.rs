//! What an interface captures, which may change while it does.

use std::io;
use std::sync::Arc;

use faith_packet::classify::Classifier;
use faith_packet::prefix::{FaithPrefix, PrefixSet};

use super::FaithInterface;
use crate::error::StackError;
use crate::namespace::Inside;
use crate::netlink::{Device, Netlink};

impl FaithInterface {
    /// Captures `prefix` too, from now on. Blocks shortly.
    ///
    /// # Errors
    /// An overlap with a prefix it has, a route for it to elsewhere, or a closed interface.
    pub fn add_prefix(&self, prefix: FaithPrefix) -> Result<(), StackError> {
        let _open = self.opened()?;
        let mut prefixes = self.prefixes();
        prefixes.insert(prefix)?;
        self.inside(prefix, "make local", "RTM_NEWROUTE", Inside::add_prefix)?;
        let passes = self.shared.shortcut.as_ref().map_or(Ok(()), |shortcut| shortcut.add_prefix(&prefix));
        if let Err(error) = passes {
            let _ = self.namespace.run(move |inside| inside.remove_prefix(&prefix));
            let what = format!("let {prefix} pass by the shortcut of {}", self.shared.name);
            return Err(StackError::system(what, "bpf", error));
        }
        if self.routes
            && let Err(error) = self.route(&prefix, Netlink::add_route)
        {
            // The route's error is what the caller can do something about.
            self.stop_passing(&prefix);
            let _ = self.namespace.run(move |inside| inside.remove_prefix(&prefix));
            let hint = (error.kind() == io::ErrorKind::AlreadyExists)
                .then_some("remove that route, or set up routes by hand (routes: false, --no-routes)");
            return Err(StackError::System {
                what: format!("route {prefix} to {}", self.shared.name),
                syscall: "RTM_NEWROUTE",
                source: error,
                hint,
            });
        }
        self.classify(prefixes);
        Ok(())
    }

    /// Captures `prefix` no more; what was captured stalls. Blocks shortly.
    ///
    /// # Errors
    /// A prefix it does not have, or a closed interface.
    pub fn remove_prefix(&self, prefix: FaithPrefix) -> Result<(), StackError> {
        let _open = self.opened()?;
        let mut prefixes = self.prefixes();
        if !prefixes.remove(&prefix) {
            return Err(StackError::NoSuchPrefix { interface: self.shared.name.clone(), prefix });
        }
        if self.routes {
            // An administrator may have removed it before us.
            let _ = self.route(&prefix, Netlink::remove_route);
        }
        self.stop_passing(&prefix);
        self.classify(prefixes);
        self.inside(prefix, "make foreign", "RTM_DELROUTE", Inside::remove_prefix)
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
        change: impl Fn(&Netlink, &FaithPrefix, Device) -> io::Result<()>,
    ) -> io::Result<()> {
        change(&Netlink::connect()?, prefix, self.device)
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
