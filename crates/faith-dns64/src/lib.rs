//! DNS64: makes AAAA records out of A records, so that an IPv6-only client reaches IPv4 servers by name.
//!
//! The crate consists of pure functions over DNS messages. It does no I/O, and a message from the
//! network never makes it panic. A forwarder asks [`plan`](plan()) about each query, asks its upstream, and
//! gives the responses to [`synthesise`] or [`reverse`]:
//!
//! ```text
//! query ─► plan ─┬─ Answer ────────────────────────────────────────────────────────► response
//!                ├─ Pass ──────► upstream ─────────────────────────────────────────► response, verbatim
//!                ├─ Synthesise ► upstream (AAAA) ─► wants_a ─► upstream (A) ─► synthesise ► response
//!                └─ Reverse ───► upstream (PTR of in-addr.arpa) ─► reverse ────────► response
//! ```
//!
//! | module | RFC | rules |
//! |---|---|---|
//! | [`options`] | 6147 §5.1.2, §5.1.4 | prefixes, excluded addresses, failures |
//! | [`plan`](mod@plan) | 6147 §5.3, §5.5 | queries that may get a forged answer |
//! | `synthesis` | 6147 §5.1, §5.4 | AAAA records made from A records |
//! | `reverse` | 6147 §5.3.1 | PTR records of the prefixes' addresses |
//! | `own` | | names that this host answers without an upstream |
//! | `ipv4only` | 7050, 8880 | ipv4only.arpa, by which clients find the prefix |
//!
//! Only AAAA and PTR queries of class IN are touched. SVCB and HTTPS records keep their address hints:
//! RFC 9460 section 4.2.1 forbids a DNS64 to change them. Clients ask for the AAAA records of the target themselves.

#![forbid(unsafe_code)]

mod ipv4only;
pub mod options;
mod own;
pub mod plan;
mod reply;
mod reverse;
mod synthesis;

pub use options::{Failures, Options};
pub use own::{Own, answer_own};
pub use plan::{Plan, plan};
pub use reply::{MAX_PAYLOAD, failed_validation, failure};
pub use reverse::reverse;
pub use synthesis::{MAX_ADDRESSES, Synthesis, Withheld, synthesise, wants_a};
