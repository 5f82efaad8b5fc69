//! The last packets of an interface that is being closed, when the tasks have ended and their sockets are closed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use faith_sys::tun::{MAX_FRAME, VIRTIO_HEADER};

use crate::cut::Cut;
use crate::lane::Lane;
use crate::pump::{capture_frame, give_back_frame};

/// How long closed sockets may go on talking to their peers.
const LAST_WORD: Duration = Duration::from_millis(200);

/// Sockets and peers that have said nothing for this long have nothing to say.
const QUIET: Duration = Duration::from_millis(5);

/// As [`QUIET`], where some have talked: an answer may take its time on a busy path.
const TALKED: Duration = Duration::from_millis(25);

/// Moves packets both ways until none has come for a moment, for [`LAST_WORD`] at most. A reset may still be on its
/// way to the device; one that overtook lost data is answered with a challenge (RFC 5961 section 3.2), to which the
/// stack owes another. Connections that are left are reset ([`Cut`]), and where clients may take longer to object to
/// their resets, packets are moved for as long.
pub(crate) fn flush(lane: &Rc<Lane>, cut: &Cut) {
    let (outer, inner) = (lane.outer.get_ref(), lane.inner.get_ref());
    let stand_in = lane.opened_stand_in();
    let classifier = lane.shared.classifier.load();
    let mut frame = vec![0; MAX_FRAME];
    let mut questions = cut.questions(lane.worker, lane.shared.counters.len());
    let patient = !cut.patience().is_zero();
    let end = Instant::now() + if patient { cut.patience() } else { LAST_WORD };
    let (mut woken, mut quiet) = (false, QUIET);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let mut moved = false;
        if let Some(question) = questions.next() {
            moved = inner.write(question.octets()).is_ok();
        }
        if let Ok(length) = inner.read(&mut frame) {
            give_back_frame(lane, &classifier, &frame[..length]);
            // The client gets the ACK as well: if it is not the one that was asked for, the client answers it with
            // another, and the stack that with a reset.
            if let Some((client, stack)) = frame.get(VIRTIO_HEADER..length).and_then(|it| cut.answer(it)) {
                lane.to_host(client.octets());
                let _ = inner.write(stack.octets());
            }
            moved = true;
        }
        match stand_in {
            Some(stand_in) => moved |= stand_in.answer(classifier.prefixes(), &mut frame),
            // No listener is left, so the stack answers a SYN with a RST.
            None => {
                if let Ok(length) = outer.read(&mut frame) {
                    capture_frame(lane, &classifier, &frame[..length]);
                    moved = true;
                }
            }
        }
        if moved {
            (woken, quiet) = (false, TALKED);
            continue;
        }
        let pause = if patient { left } else { quiet };
        let ready = match stand_in {
            Some(stand_in) => inner.wait(stand_in, pause),
            None => inner.wait(outer, pause),
        };
        // One that wakes and has nothing to read is gone.
        if woken || !ready.is_ok_and(|ready| ready) {
            return;
        }
        woken = true;
    }
}
