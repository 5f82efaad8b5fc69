//! Reads the kernel's answers completely: the end of a stream alone does not prove that it is complete.
//!
//! rtnetlink ends its streams in the same way after the last answer and when the connection breaks (a message that it
//! cannot decode, a socket error). Missing answers would look like missing things: addresses that are not the host's, or
//! a deleted device.

use std::io;

use futures_util::{Stream, StreamExt as _};
use rtnetlink::Error;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};

/// Returns the answer to a request that has exactly one.
pub(super) async fn one<T>(answers: impl Stream<Item = Result<T, Error>>) -> io::Result<T> {
    let mut answers = std::pin::pin!(answers);
    answers.next().await.ok_or_else(cut_short)?.map_err(to_io)
}

/// Passes every answer of a dump to `each`.
///
/// # Errors
/// The kernel refuses, or did not mark the end of the dump.
pub(super) async fn all<T>(
    answers: impl Stream<Item = Result<T, Error>>,
    mut each: impl FnMut(T),
) -> io::Result<()> {
    let mut answers = std::pin::pin!(answers);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(answer) => each(answer),
            Err(Error::UnexpectedMessage(NetlinkMessage { payload: NetlinkPayload::Done(done), .. })) => {
                return match done.code {
                    0 => Ok(()),
                    code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
                };
            }
            Err(error) => return Err(to_io(error)),
        }
    }
    Err(cut_short())
}

pub(super) fn to_io(error: Error) -> io::Error {
    match error {
        Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}

pub(super) fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the answer of rtnetlink is incomplete")
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use rtnetlink::packet_core::{DoneMessage, NetlinkHeader};
    use tokio::runtime::Builder;

    use super::*;

    fn done(code: i32) -> Result<u32, Error> {
        let mut done = DoneMessage::default();
        done.code = code;
        Err(Error::UnexpectedMessage(NetlinkMessage::new(
            NetlinkHeader::default(),
            NetlinkPayload::Done(done),
        )))
    }

    fn read(answers: &[Result<u32, Error>]) -> (Vec<u32>, io::Result<()>) {
        let mut read = Vec::new();
        let runtime = Builder::new_current_thread().build().unwrap();
        let outcome = runtime.block_on(all(stream::iter(answers.to_vec()), |answer| read.push(answer)));
        (read, outcome)
    }

    #[test]
    fn a_dump_is_complete_only_if_the_kernel_marks_its_end() {
        let (read_all, outcome) = read(&[Ok(1), Ok(2), done(0)]);
        outcome.unwrap();
        assert_eq!(read_all, [1, 2]);
        for cut_short in [&[][..], &[Ok(1)], &[Ok(1), Ok(2)]] {
            assert_eq!(read(cut_short).1.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        assert_eq!(read(&[Ok(1), done(-90)]).1.unwrap_err().raw_os_error(), Some(90));
        assert!(read(&[Ok(1), Err(Error::RequestFailed), done(0)]).1.is_err());
    }
}
