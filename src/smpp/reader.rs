//! A cursor over a PDU body that knows which field it is reading, so that every fault has its own SMPP status.

use super::CommandStatus;

/// How closely a peer must follow the letter of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strictness {
    /// Field sizes as in SMPP 5.0 section 4.
    Strict,
    /// Also what real peers send: longer C-octet strings, times of other lengths, a last string without its terminator, one
    /// stray octet at the end. What is ambiguous stays an error.
    #[default]
    Lenient,
}

/// The field a body could not be read at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    ServiceType,
    SourceAddress,
    DestinationAddress,
    ScheduleDeliveryTime,
    ValidityPeriod,
    FinalDate,
    ShortMessage,
    MessagePayload,
    MessageId,
    SystemId,
    Password,
    SystemType,
    AddressRange,
    /// The TLV part.
    Tlvs,
    /// One of the one-octet fields.
    Integer,
    /// The command has no such body.
    Command,
}

/// What was wrong with the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Problem {
    /// The PDU ends before or inside the field.
    Truncated,
    /// A C-octet string has no terminator.
    Unterminated,
    /// Longer or shorter than the standard allows.
    Length,
    /// The field contradicts another one.
    Conflict,
}

/// A PDU whose body cannot be read. The frame was whole, so the session stays up and the PDU is answered with [`status`].
///
/// [`status`]: ViewError::status
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ViewError {
    pub field: Field,
    pub problem: Problem,
}

impl ViewError {
    /// The status for the response: that of the field where the standard has one (SMPP 5.0 section 4.7.6).
    pub fn status(&self) -> CommandStatus {
        match self.field {
            Field::ServiceType => CommandStatus::EsmeRinvsertyp,
            Field::SourceAddress => CommandStatus::EsmeRinvsrcadr,
            Field::DestinationAddress => CommandStatus::EsmeRinvdstadr,
            Field::ScheduleDeliveryTime => CommandStatus::EsmeRinvsched,
            Field::ValidityPeriod => CommandStatus::EsmeRinvexpiry,
            Field::ShortMessage | Field::MessagePayload => CommandStatus::EsmeRinvmsglen,
            Field::MessageId => CommandStatus::EsmeRinvmsgid,
            Field::SystemId => CommandStatus::EsmeRinvsysid,
            Field::Password => CommandStatus::EsmeRinvpaswd,
            Field::SystemType => CommandStatus::EsmeRinvsystyp,
            // The standard has no code for address_range; a bind it spoils has failed.
            Field::AddressRange => CommandStatus::EsmeRbindfail,
            Field::Tlvs => CommandStatus::EsmeRinvtlvstream,
            Field::Integer | Field::FinalDate => CommandStatus::EsmeRinvcmdlen,
            Field::Command => CommandStatus::EsmeRinvcmdid,
        }
    }
}

impl std::fmt::Display for ViewError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {:?}", self.field, self.problem)
    }
}

impl std::error::Error for ViewError {}

/// The longest C-octet string a lenient reader takes, terminator included: beyond it a lost terminator is likelier than a
/// long value.
const LENIENT_MAX: usize = 256;

/// The cursor.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    strictness: Strictness,
}

impl<'a> Reader<'a> {
    pub fn new(body: &'a [u8], strictness: Strictness) -> Self {
        Reader { rest: body, strictness }
    }

    /// A one-octet integer.
    #[inline]
    pub fn octet(&mut self) -> Result<u8, ViewError> {
        self.octets().map(|[octet]| octet)
    }

    /// One-octet integers that follow each other.
    #[inline]
    pub fn octets<const N: usize>(&mut self) -> Result<[u8; N], ViewError> {
        let (octets, rest) =
            self.rest.split_first_chunk().ok_or(ViewError { field: Field::Integer, problem: Problem::Truncated })?;
        self.rest = rest;
        Ok(*octets)
    }

    /// A C-octet string of at most `max` octets, terminator included; returned without it.
    #[inline]
    pub fn string(&mut self, field: Field, max: usize) -> Result<&'a [u8], ViewError> {
        let limit = match self.strictness {
            Strictness::Strict => max,
            Strictness::Lenient => LENIENT_MAX,
        };
        let window = &self.rest[..limit.min(self.rest.len())];
        let Some(end) = window.iter().position(|&octet| octet == 0) else {
            let problem = if self.rest.len() < limit { Problem::Unterminated } else { Problem::Length };
            return Err(ViewError { field, problem });
        };
        let value = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Ok(value)
    }

    /// A C-octet string that ends the body: its end is certain even without terminator, which a lenient reader accepts.
    pub fn last_string(&mut self, field: Field, max: usize) -> Result<&'a [u8], ViewError> {
        let terminated = self.rest.contains(&0);
        if terminated || self.strictness == Strictness::Strict || self.rest.len() >= LENIENT_MAX {
            return self.string(field, max);
        }
        Ok(std::mem::take(&mut self.rest))
    }

    /// A time: one octet or seventeen, terminator included (SMPP 5.0 section 4.7.23).
    #[inline]
    pub fn time(&mut self, field: Field) -> Result<&'a [u8], ViewError> {
        let value = self.string(field, 17)?;
        if self.strictness == Strictness::Strict && !matches!(value.len(), 0 | 16) {
            return Err(ViewError { field, problem: Problem::Length });
        }
        Ok(value)
    }

    /// A text whose length octet comes before it.
    #[inline]
    pub fn counted(&mut self, field: Field) -> Result<&'a [u8], ViewError> {
        let length = usize::from(self.octet()?);
        let (value, rest) = self.rest.split_at_checked(length).ok_or(ViewError { field, problem: Problem::Truncated })?;
        self.rest = rest;
        Ok(value)
    }

    /// Everything not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn strictness(&self) -> Strictness {
        self.strictness
    }
}
