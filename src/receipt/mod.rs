//! Delivery receipts without I/O: text and TLVs in, a [`Receipt`] out, and the text we write ourselves.

pub mod id;
pub mod state;
pub mod text;
pub mod write;

pub use state::State;
pub use text::Receipt;

/// How an operator's receipts write the id its responses gave (the `receipt_id` setting).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptId {
    /// The same characters.
    #[default]
    Same,
    /// The response gave decimal, the receipt gives hexadecimal.
    Hex,
    /// The response gave hexadecimal, the receipt gives decimal.
    Dec,
}

/// Whether an application gets one receipt for a message or one for each part (the `receipts` setting).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptPolicy {
    #[default]
    Message,
    Part,
}
