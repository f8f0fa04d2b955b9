//! query_sm: where a message stands (SMPP 5.0 section 4.5).

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::gateway::{AccountSettings, Gateway};
use crate::ledger::MessageStatus;
use crate::link;
use crate::message::Timestamp;
use crate::receipt::State;
use crate::smpp::view::{QueryResponseView, QueryView};
use crate::smpp::{CommandStatus, Frame, Session, Ticket, encode, time};

/// What the journal found, on its way back to the session.
pub(super) struct Answer {
    request: Ticket,
    message_id: Vec<u8>,
    found: Option<MessageStatus>,
}

/// Asks the journal; the answer comes through `ask`. A message of another account is as unknown as one that never was.
pub(super) fn query<T>(
    frame: &Frame,
    gateway: &Arc<Gateway>,
    account: &AccountSettings,
    ask: &mpsc::Sender<Answer>,
    session: &mut Session<T>,
) {
    let request = frame.ticket();
    let refuse = |session: &mut Session<T>, status| session.respond(link::now(), request, status);
    let view = match QueryView::parse(frame, session.strictness()) {
        Ok(view) => view,
        Err(error) => return refuse(session, error.status()),
    };
    let id = std::str::from_utf8(view.message_id).ok();
    let id = id.and_then(|text| gateway.node_names().read(text, gateway.ids.peek()));
    let Some(id) = id else { return refuse(session, CommandStatus::EsmeRinvmsgid) };
    let Some(journal) = gateway.journal() else { return refuse(session, CommandStatus::EsmeRqueryfail) };
    let (owner, message_id, ask) = (account.config.system_id.clone(), view.message_id.to_vec(), ask.clone());
    let told = journal.tell(move |lookup| {
        let found = lookup.standing(id).filter(|status| status.account == owner);
        // A session that has gone needs no answer; the channel has room for a whole window.
        let _ = ask.try_send(Answer { request, message_id, found });
    });
    if !told {
        refuse(session, CommandStatus::EsmeRqueryfail);
    }
}

impl Answer {
    /// Sends the query_sm_resp.
    pub fn send<T>(self, session: &mut Session<T>) {
        let now = link::now();
        let Some(status) = self.found else {
            return session.respond(now, self.request, CommandStatus::EsmeRinvmsgid);
        };
        let state = status.state.unwrap_or(State::Enroute);
        let date = status.finished_at.map(|at| time::format_absolute(Timestamp(at), ::time::UtcOffset::UTC));
        let error_code = status.parts.iter().map(|part| part.error).find(|error| *error != 0).unwrap_or(0);
        let answer = QueryResponseView {
            message_id: &self.message_id,
            final_date: date.as_ref().map_or(&[], |date| &date[..]),
            message_state: state.number(),
            error_code: u8::try_from(error_code).unwrap_or(u8::MAX),
        };
        session.respond_with(now, self.request, CommandStatus::EsmeRok, |out| encode::query_response_body(out, &answer));
    }
}
