//! Binding and unbinding as a client that speaks through the gateway's own session: what `smppgw send` and tests need.

use std::time::Duration;

use super::ClientError;
use crate::link::{Link, now};
use crate::smpp::{BindKind, BindView, Event, Version};

/// How long the peer may take to answer the final unbind.
const PARTING: Duration = Duration::from_secs(2);

/// Binds and waits for the answer.
///
/// # Errors
/// The bind was refused or not answered.
pub async fn bind<T>(link: &mut Link<T>, kind: BindKind, system_id: &[u8], password: &[u8]) -> Result<(), ClientError> {
    link.session.bind(
        now(),
        &BindView {
            kind,
            system_id,
            password,
            system_type: b"",
            version: Version::V3_4,
            addr_ton: 0,
            addr_npi: 0,
            address_range: b"",
        },
    );
    loop {
        match link.session.poll_event() {
            Some(Event::Bound { .. }) => return Ok(()),
            Some(Event::BindRefused(status)) => return Err(ClientError::BindRefused(status)),
            Some(Event::Closed { .. }) => return Err(ClientError::NoBindResponse),
            Some(_) => {}
            None => link.progress().await,
        }
    }
}

/// Unbinds; what is unanswered is not waited for.
pub async fn part<T>(mut link: Link<T>) {
    if link.session.unanswered() > 0 {
        link.session.close();
    } else {
        link.session.unbind(now());
    }
    let ended = async {
        while !link.session.is_closed() {
            link.progress().await;
            while link.session.poll_event().is_some() {}
        }
    };
    // A peer that does not answer is left anyway.
    let _ = tokio::time::timeout(PARTING, ended).await;
    link.finish().await;
}
