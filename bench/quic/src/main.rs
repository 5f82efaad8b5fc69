// SPDX-License-Identifier: MIT OR Apache-2.0
//! A transfer over QUIC, both ends of it.
//!
//! ```text
//! quic-load --serve PORT --certificate FILE
//! quic-load --target ADDRESS --port PORT --certificate FILE --mode up|down [--seconds 3]
//! ```
//!
//! The server makes a certificate, and writes it into the file, which the client trusts. Each end has one thread. quinn
//! passes up to ten datagrams to the kernel at once (UDP_SEGMENT), and takes as many as the kernel joins (UDP_GRO). The
//! result is one line of JSON: bytes are those that the receiver got, `sent` and `lost` are datagrams of the sender.

mod ends;
mod options;

use std::process::ExitCode;

use options::Task;

fn main() -> ExitCode {
    let result = options::parse().and_then(|task| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match task {
            Task::Serve { port, certificate } => runtime.block_on(ends::serve(port, &certificate)),
            Task::Transfer(order) => runtime.block_on(ends::transfer(&order)),
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quic-load: {error}");
            ExitCode::FAILURE
        }
    }
}
