//! Which messages are meant: those to a number, or those that an operator knows by its own id.
//!
//! The journal is asked for a slice at a time, with a pause between: what it does for everybody else goes on. One search at a time, for
//! that to be so however many ask.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};

use super::gather::{ask, message_of};
use super::protocol::{FoundMessage, Messages, Refusal};
use crate::config::nearest;
use crate::gateway::{Gateway, Settings};
use crate::ledger::{Among, Look, Recipient, Sought};
use crate::message::{Address, Masked, MessageId, OperatorKey};

/// Messages told of at most: a screen of them.
const SHOWN: usize = 20;

/// How long a search may take: shorter than the patience of who asks.
const LIMIT: Duration = Duration::from_secs(10);

/// How long the one before is waited for.
const TURN: Duration = Duration::from_secs(5);

/// Between two slices at least; as long as the slice took if that is longer, so that half of the journal's time is left to everybody else.
const PAUSE: Duration = Duration::from_millis(1);

/// Characters of what was asked for that a refusal repeats.
const REPEATED: usize = 40;

/// Whose turn it is to search.
#[derive(Debug, Clone)]
pub(super) struct Searches(Arc<Semaphore>);

impl Default for Searches {
    fn default() -> Self {
        Searches(Arc::new(Semaphore::new(1)))
    }
}

impl Searches {
    /// Messages to a number, as an application or a caller writes it.
    pub async fn to(&self, gateway: &Gateway, number: &str) -> Result<Messages, Refusal> {
        let asked = Asked::new(number, &gateway.settings())?;
        let _turn = self.turn().await?;
        let mut search = Search::new(gateway);
        search.go_through(asked.sought(), Among::All, Some(&asked)).await?;
        let hint = match number.trim_ascii_start().starts_with('+') {
            true => "",
            false => "; try it with + and the country: without them it is read as the account of each message would write it",
        };
        search.told(&format!("to {}", brief(&Masked(number.as_bytes()).to_string())), hint).await
    }

    /// Messages that have this id at an operator, or at any.
    pub async fn known_as(&self, gateway: &Gateway, id: &str, operator: Option<&str>) -> Result<Messages, Refusal> {
        if id.trim_ascii().is_empty() {
            return Err(Refusal::new(
                "expected the id that an operator gave a message, as its response or its receipt writes it",
            ));
        }
        let key = operator.map(|name| operator_named(gateway, name)).transpose()?;
        let _turn = self.turn().await?;
        let mut search = Search::new(gateway);
        let octets: Box<[u8]> = id.as_bytes().into();
        let sought = Sought::OperatorId { operator: key, id: octets.clone() };
        let correlated = ask(gateway, move |lookup| lookup.correlated(key, &octets)).await?;
        search.found.extend(correlated.into_iter().map(|id| (Reverse(id), true)));
        // Whose receipts are not asked for is not correlated. Of those the pending ones, which are few, need going through all that is
        // pending: that is left out when the id has been found.
        let among = if search.found.is_empty() { Among::All } else { Among::Finished };
        search.go_through(sought, among, None).await?;
        let hint = if operator.is_some() { "; it may be another operator's, try it without" } else { "" };
        search.told(&format!("known to {} as {}", operator.unwrap_or("any operator"), brief(id)), hint).await
    }

    /// For as long as it is held, nobody else searches.
    pub async fn turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        match timeout(TURN, self.0.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Refusal::new("another search is under way: try again in a moment")),
        }
    }
}

fn brief(text: &str) -> String {
    text.chars().take(REPEATED).collect()
}

/// Also one that a reload has taken out.
fn operator_named(gateway: &Gateway, name: &str) -> Result<OperatorKey, Refusal> {
    gateway.operator_names.key(name).map(OperatorKey).ok_or_else(|| {
        let settings = gateway.settings();
        let known: Vec<&str> = settings.config.operators.iter().map(|operator| &*operator.name).collect();
        let meant = nearest(name, known.iter().copied()).map(|name| format!("; did you mean {name}?"));
        Refusal::new(format!("no operator {:?}{}", brief(name), meant.unwrap_or_else(|| "; see ctl operators".to_owned())))
    })
}

/// A number that was asked for.
struct Asked {
    text: Vec<u8>,
    /// Its digits as they stand there, for what no rule completes.
    digits: Vec<u8>,
    /// What it may be under the rules of one country or another.
    readings: Vec<Address>,
}

impl Asked {
    fn new(text: &str, settings: &Settings) -> Result<Asked, Refusal> {
        let text = text.trim_ascii().as_bytes().to_vec();
        let digits = text.iter().copied().filter(u8::is_ascii_digit).collect();
        let (mut readings, mut fault) = (Vec::new(), None);
        for rules in settings.all_numbers() {
            match rules.readings(&text) {
                Ok(more) => readings.extend(more),
                Err(error) => fault = Some(error),
            }
        }
        match fault {
            Some(error) if readings.is_empty() => {
                Err(Refusal::new(format!("to: {error}; expected a number as applications write it, such as +358401234567")))
            }
            _ => Ok(Asked { text, digits, readings }),
        }
    }

    fn sought(&self) -> Sought {
        Sought::number(self.readings.iter().map(|number| &number.digits[..]).chain([&self.digits[..]]))
    }

    /// Is it the number of this message, as its account would write it? `None` when that is not known whole.
    fn is(&self, recipient: &Recipient, settings: &Settings) -> Option<bool> {
        let Some(number) = &recipient.number else {
            // Short numbers have no last digits that could be compared.
            return self.sought().is_vague().then_some(false);
        };
        let number = &number.digits[..];
        let readings = settings.numbers_of(recipient.account).readings(&self.text).unwrap_or_default();
        Some(number == &self.digits[..] || readings.iter().any(|reading| number == &reading.digits[..]))
    }
}

/// A search under way.
struct Search<'g> {
    gateway: &'g Gateway,
    /// Newest first, each with whether it is certainly one of those.
    found: BTreeMap<Reverse<MessageId>, bool>,
    ends: Instant,
    complete: bool,
}

impl<'g> Search<'g> {
    fn new(gateway: &'g Gateway) -> Self {
        Search { gateway, found: BTreeMap::new(), ends: Instant::now() + LIMIT, complete: true }
    }

    /// Goes through what there is until it has found more than can be shown. Of messages that may be to the number `asked` for, it is
    /// looked up whether they are.
    async fn go_through(&mut self, sought: Sought, among: Among, asked: Option<&Asked>) -> Result<(), Refusal> {
        let sought = Arc::new(sought);
        let mut below = MessageId(u64::MAX);
        while self.found.len() <= SHOWN {
            let (sought, reads) = (sought.clone(), asked.is_some());
            let began = Instant::now();
            let slice = ask(self.gateway, move |lookup| {
                let Look { found, from } = lookup.search(&sought, among, below);
                let read = |id: MessageId| (id, if reads { lookup.recipient(id) } else { None });
                (found.into_iter().map(read).collect::<Vec<_>>(), from)
            });
            let (found, from) = slice.await?;
            let settings = self.gateway.settings();
            for (id, recipient) in found {
                match asked.zip(recipient).map(|(asked, recipient)| asked.is(&recipient, &settings)) {
                    Some(Some(false)) => {}
                    known => {
                        self.found.insert(Reverse(id), known != Some(None));
                    }
                }
            }
            let Some(from) = from else { return Ok(()) };
            if Instant::now() >= self.ends {
                self.complete = false;
                return Ok(());
            }
            below = from;
            sleep(began.elapsed().max(PAUSE)).await;
        }
        Ok(())
    }

    /// What is known of the messages found. When there are none: which (`what`), and what else may be tried.
    async fn told(self, what: &str, hint: &str) -> Result<Messages, Refusal> {
        let mut messages = Vec::new();
        for (Reverse(id), certain) in self.found.iter().take(SHOWN) {
            // It may have been forgotten meanwhile.
            if let Some(message) = message_of(self.gateway, *id).await? {
                messages.push(FoundMessage { message, certain: *certain });
            }
        }
        if messages.is_empty() {
            let kept = self.gateway.settings().config.messages.history;
            let seen = if self.complete { "" } else { " as far as was seen in time" };
            let why = format!("none is pending or among the last {kept} finished{seen}");
            return Err(Refusal::new(format!("no message {what}: {why}{hint}")));
        }
        Ok(Messages { messages, more: self.found.len() > SHOWN, complete: self.complete })
    }
}
