//! Moves the last packets of a closing interface, after the tasks have ended and their sockets are closed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use faith_sys::tun::{MAX_FRAME, VIRTIO_HEADER};

use crate::cut::Cut;
use crate::lane::Lane;
use crate::pump::{capture_frame, give_back_frame};

/// The time for closed sockets to exchange their last packets with their peers.
const LAST_WORD: Duration = Duration::from_millis(200);

/// The flush ends after this long without a packet.
const QUIET: Duration = Duration::from_millis(5);

/// Replaces [`QUIET`] after the first packet: on a busy path an answer takes longer.
const TALKED: Duration = Duration::from_millis(25);

/// Moves packets both ways until none comes for a moment, at most for [`LAST_WORD`]. A reset may still be on its way to
/// the device. A client answers a reset that overtook lost data with a challenge ACK (RFC 5961 section 3.2), which the
/// stack must answer with another reset. The remaining connections are reset ([`Cut`]). If clients may take longer to
/// object to their resets, this moves packets for that long.
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
            // The client gets the ACK as well. If the ACK was not the answer to a question, the client answers it with
            // an ACK, and the stack answers that with a reset.
            if let Some((client, stack)) = frame.get(VIRTIO_HEADER..length).and_then(|it| cut.answer(it)) {
                lane.to_host(client.octets());
                let _ = inner.write(stack.octets());
            }
            moved = true;
        }
        match stand_in {
            Some(stand_in) => moved |= stand_in.answer(classifier.prefixes(), &mut frame),
            // No listener is left, so the stack answers SYNs with a RST.
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
        // A queue that wakes twice without a packet belongs to a deleted device.
        if woken || !ready.is_ok_and(|ready| ready) {
            return;
        }
        woken = true;
    }
}
