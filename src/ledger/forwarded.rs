//! Parts of incoming messages that were forwarded a short while ago, joined or alone. When the answer to one of them is lost the operator
//! sends it again, and cannot know that it has gone to its account.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::mo::Joint;
use crate::message::{Mail, MailContent, Mo, Timestamp};
use crate::text::{Alphabet, Body};

/// Parts remembered at most: with more than that one that comes again may be forwarded again.
const KEPT: usize = 40_000;

/// What is remembered of one message.
#[derive(Debug, Clone)]
struct Gone {
    at: Timestamp,
    /// The parts by number, each as a digest of what it says.
    parts: SmallVec<[(u8, u64); 4]>,
}

/// What was forwarded.
#[derive(Debug, Clone, Default)]
pub(super) struct Forwarded {
    gone: HashMap<Joint, Gone>,
    /// Of all messages.
    parts: usize,
    by_age: VecDeque<(Timestamp, Joint)>,
}

impl Forwarded {
    /// A part has been forwarded. What went at another time under the same reference was another message: the newest counts.
    pub fn add(&mut self, joint: &Joint, (sequence, digest): (u8, u64), at: Timestamp) {
        let fresh = self.gone.get(joint).is_none_or(|gone| gone.at != at);
        if fresh {
            let before = self.gone.insert(joint.clone(), Gone { at, parts: SmallVec::new() });
            self.parts -= before.map_or(0, |before| before.parts.len());
            self.by_age.push_back((at, joint.clone()));
        }
        if let Some(gone) = self.gone.get_mut(joint) {
            gone.parts.push((sequence, digest));
            self.parts += 1;
        }
        while self.parts > KEPT || self.by_age.len() > KEPT {
            self.forget_first();
        }
    }

    /// Has this part been forwarded, no longer than `window` before it came?
    pub fn has(&self, joint: &Joint, sequence: u8, mo: &Mo, window: Duration) -> bool {
        let Some(gone) = self.gone.get(joint) else { return false };
        mo.received_at < gone.at.plus(window) && gone.parts.contains(&(sequence, digest(&mo.body, &mo.udh)))
    }

    /// Forgets what was forwarded at `moment` or before.
    pub fn forget(&mut self, moment: Timestamp) {
        while self.by_age.front().is_some_and(|(at, _)| *at <= moment) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((at, joint)) = self.by_age.pop_front() else { return };
        if self.gone.get(&joint).is_some_and(|gone| gone.at == at) {
            let gone = self.gone.remove(&joint);
            self.parts -= gone.map_or(0, |gone| gone.parts.len());
        }
    }

    /// What was forwarded in the future was while the clock was wrong: it counts as of now.
    pub fn not_after(&mut self, now: Timestamp) {
        self.gone.values_mut().for_each(|gone| gone.at = gone.at.min(now));
        self.by_age.iter_mut().for_each(|(at, _)| *at = now.min(*at));
    }

    /// A record read back says that `parts`, whose own records stood before it, were forwarded as `mail`.
    pub fn restore(&mut self, parts: &[&Mo], mail: &Mail) {
        let MailContent::Mo(whole) = &mail.content else { return };
        let mut numbered: SmallVec<[(u8, &Mo); 4]> = SmallVec::new();
        numbered.extend(parts.iter().filter_map(|part| Some((part.concatenation?.sequence, *part))));
        let Some(joint) = parts.first().and_then(|first| Some(Joint::of(first, first.concatenation?))) else { return };
        for (sequence, part) in &numbered {
            self.add(&joint, (*sequence, digest(&part.body, &part.udh)), mail.created_at);
        }
        // The part that made it whole has no record of its own.
        let last = (1..=joint.total()).find(|sequence| numbered.iter().all(|(number, _)| number != sequence));
        if let (None, Some(last)) = (whole.concatenation, last)
            && let Some(body) = rest(&numbered, last, &whole.body)
        {
            self.add(&joint, (last, digest(&body, &whole.udh)), mail.created_at);
        }
    }
}

/// What stands in `whole` in the place of the part `missing`.
fn rest(parts: &[(u8, &Mo)], missing: u8, whole: &Body) -> Option<Body> {
    let octets = |before: bool| {
        let some = parts.iter().filter(move |(number, _)| (*number < missing) == before);
        some.map(|(_, part)| part.body.octets.len()).sum::<usize>()
    };
    let (start, end) = (octets(true), whole.octets.len().checked_sub(octets(false))?);
    let alike = parts.iter().all(|(_, part)| part.body.alphabet == whole.alphabet);
    (alike && start <= end).then(|| Body { alphabet: whole.alphabet, octets: whole.octets.slice(start..end) })
}

/// Of a part's text, and what stands in its header besides its number.
pub(super) fn digest(body: &Body, udh: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let alphabet: u8 = match body.alphabet {
        Alphabet::Gsm7 => 0,
        Alphabet::Ucs2 => 1,
        Alphabet::Octets => 2,
    };
    (alphabet, &body.octets[..], udh).hash(&mut hasher);
    hasher.finish()
}
