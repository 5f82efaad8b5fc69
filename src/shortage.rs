//! Reports to JavaScript the resources that this host lacks.

use std::io::{self, ErrorKind};
use std::net::IpAddr;

use faith_sys::tcp::Resource;
use napi::bindgen_prelude::Function;
use napi_derive::napi;

use crate::batch::Batch;

/// A resource that new connections need and this host lacks.
#[napi(object)]
pub struct NativeShortage {
    /// The resource's name, in kebab case.
    pub resource: String,
    /// The text that people read.
    pub message: String,
}

/// Shortages on their way to a callback.
pub(crate) struct ShortageBatch(Batch<NativeShortage, Vec<NativeShortage>>);

impl ShortageBatch {
    pub(crate) fn new(callback: &Function<'_, Vec<NativeShortage>, ()>) -> napi::Result<Self> {
        Batch::new(callback, |shortages| shortages).map(Self)
    }

    pub(crate) fn exhausted(&self, what: Resource, error: &io::Error) {
        self.push(what.name(), format!("out of {what}: {error}"));
    }

    pub(crate) fn unusable_source(&self, source: IpAddr, error: &io::Error) {
        let (resource, source) = if source.is_unspecified() {
            (Resource::PrivilegedPorts.name(), "a privileged port".to_owned())
        } else {
            ("local-address", source.to_string())
        };
        let why = match error.kind() {
            ErrorKind::AddrNotAvailable => ", an address that this host does not have",
            _ => "",
        };
        self.push(resource, format!("cannot connect from {source}{why}: {error}"));
    }

    fn push(&self, resource: &str, message: String) {
        self.0.push(NativeShortage { resource: resource.to_owned(), message });
    }
}
