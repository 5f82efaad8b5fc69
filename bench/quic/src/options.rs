// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::ValueExt;

/// The side that sends, as the client sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

pub(crate) struct Order {
    pub(crate) target: SocketAddr,
    pub(crate) certificate: PathBuf,
    pub(crate) way: Way,
    /// The sender begins nothing new after this time.
    pub(crate) time: Duration,
}

pub(crate) enum Task {
    Serve { port: u16, certificate: PathBuf },
    Transfer(Order),
}

pub(crate) fn parse() -> Result<Task, Box<dyn Error>> {
    let (mut serve, mut target, mut port, mut certificate, mut way) = (None, None, None, None, None);
    let mut seconds = 3.0;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        let lexopt::Arg::Long(name) = argument else {
            return Err(argument.unexpected().into());
        };
        match name {
            "serve" => serve = Some(parser.value()?.parse::<u16>()?),
            "target" => target = Some(parser.value()?.parse::<IpAddr>()?),
            "port" => port = Some(parser.value()?.parse::<u16>()?),
            "certificate" => certificate = Some(PathBuf::from(parser.value()?)),
            "mode" => way = Some(parser.value()?.parse_with(way_of)?),
            "seconds" => seconds = parser.value()?.parse::<f64>()?,
            _ => return Err(argument.unexpected().into()),
        }
    }
    let certificate = certificate.ok_or("--certificate is missing")?;
    if let Some(port) = serve {
        return Ok(Task::Serve { port, certificate });
    }
    Ok(Task::Transfer(Order {
        target: SocketAddr::new(target.ok_or("--target is missing")?, port.ok_or("--port is missing")?),
        certificate,
        way: way.ok_or("--mode is missing")?,
        time: Duration::try_from_secs_f64(seconds)?,
    }))
}

fn way_of(text: &str) -> Result<Way, String> {
    match text {
        "up" => Ok(Way::Up),
        "down" => Ok(Way::Down),
        _ => Err(format!("'{text}' is not up or down")),
    }
}
