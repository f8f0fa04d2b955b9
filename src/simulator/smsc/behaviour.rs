//! How a simulated operator answers: a value that can be exchanged while it runs.

use std::time::Duration;

use rand::Rng;

use super::message_id::IdForm;
use crate::receipt::ReceiptId;
use crate::smpp::CommandStatus;

/// How an operator behaves. The default is a good one: everything accepted at once, delivered and reported 50 ms later.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// The form of the ids in responses.
    pub ids: IdForm,
    /// The form of the ids in receipts.
    pub receipt_id: ReceiptId,
    /// Where receipts carry id and state.
    pub receipt_form: ReceiptForm,
    /// From the submission to the receipt; zero: right after the response.
    pub receipt_delay: Duration,
    /// From the submission to the response.
    pub response_delay: Duration,
    /// Fractions of submissions that are answered otherwise than with ESME_ROK; the rest is accepted.
    pub answers: Vec<(Answer, f64)>,
    /// Submissions per second, over all binds, beyond which they are answered with ESME_RTHROTTLED.
    pub rate: Option<u32>,
    /// Fraction of accepted messages whose final state is UNDELIV.
    pub undelivered: f64,
    /// The receipt leaves before the response.
    pub early_receipt: bool,
    /// Every receipt is sent twice.
    pub duplicate_receipts: bool,
    /// Binds are refused with this.
    pub refuse_binds: Option<CommandStatus>,
    /// A message whose text begins so makes the operator drop the connection without an answer.
    pub poison: Option<Vec<u8>>,
}

/// Where a receipt carries id and state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ReceiptForm {
    /// In the text of SMPP 3.4 appendix B.
    Text,
    /// In the TLVs `receipted_message_id` and `message_state`, without text.
    Tlv,
    #[default]
    Both,
}

/// What a submission gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Status(CommandStatus),
    /// No response, ever.
    Silence,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour {
            ids: IdForm::default(),
            receipt_id: ReceiptId::default(),
            receipt_form: ReceiptForm::default(),
            receipt_delay: Duration::from_millis(50),
            response_delay: Duration::ZERO,
            answers: Vec::new(),
            rate: None,
            undelivered: 0.0,
            early_receipt: false,
            duplicate_receipts: false,
            refuse_binds: None,
            poison: None,
        }
    }
}

impl Behaviour {
    /// Draws the answer to one submission.
    pub(super) fn draw_answer(&self, random: &mut impl Rng) -> Answer {
        if !self.answers.is_empty() {
            let mut left: f64 = random.random();
            for &(answer, fraction) in &self.answers {
                if left < fraction {
                    return answer;
                }
                left -= fraction;
            }
        }
        Answer::Status(CommandStatus::EsmeRok)
    }

    /// Draws whether an accepted message reaches the handset.
    pub(super) fn draw_delivered(&self, random: &mut impl Rng) -> bool {
        self.undelivered <= 0.0 || random.random::<f64>() >= self.undelivered
    }
}
