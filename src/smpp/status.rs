//! What each `command_status` means for the message it answers (SMPP 5.0 section 4.7.6).

use super::CommandStatus;

/// What to do after a submission was answered so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Accepted.
    Ok,
    /// Slow this connection down and keep the message: not a failed attempt.
    Throttle,
    /// Retry later with backoff until validity ends; counts as an attempt.
    Temporary,
    /// Retry a few times, then fail: the meaning is vague.
    Limited,
    /// Fail the message now.
    Permanent,
    /// Fail it now: the destination is of no use.
    PermanentDestination,
    /// The session state is wrong: rebind, then resend.
    Session,
    /// The bind itself is refused: rebind, more and more slowly.
    Bind,
    /// We sent something malformed: fail, log loudly, count.
    Bug,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 9] = [
        Class::Ok,
        Class::Throttle,
        Class::Temporary,
        Class::Limited,
        Class::Permanent,
        Class::PermanentDestination,
        Class::Session,
        Class::Bind,
        Class::Bug,
    ];

    /// The word for it in the configuration and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Class::Ok => "ok",
            Class::Throttle => "throttle",
            Class::Temporary => "temporary",
            Class::Limited => "limited",
            Class::Permanent => "permanent",
            Class::PermanentDestination => "permanent-destination",
            Class::Session => "session",
            Class::Bind => "bind",
            Class::Bug => "bug",
        }
    }
}

/// The class of a code, before any override of the operator's. Codes that cannot answer a submission (broadcast operations)
/// count as permanent. ESME_RDELIVERYFAILURE depends on a TLV: see [`class_of_delivery_failure`].
pub fn class_of(status: CommandStatus) -> Class {
    describe(status).1
}

/// The class of ESME_RDELIVERYFAILURE with this `delivery_failure_reason` (SMPP 5.0 section 4.8.4.19).
pub fn class_of_delivery_failure(reason: Option<u8>) -> Class {
    match reason {
        Some(0 | 3) => Class::Temporary,
        Some(1) => Class::PermanentDestination,
        Some(2) => Class::Permanent,
        _ => Class::Limited,
    }
}

/// The standard's name of a code; "vendor specific" and "reserved" for those that have none.
pub fn name(status: CommandStatus) -> &'static str {
    describe(status).0
}

/// A code for humans: `ESME_RTHROTTLED 0x58`.
pub struct Shown(pub CommandStatus);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} 0x{:02X}", name(self.0), u32::from(self.0))
    }
}

fn describe(status: CommandStatus) -> (&'static str, Class) {
    match u32::from(status) {
        0x00 => ("ESME_ROK", Class::Ok),
        0x01 => ("ESME_RINVMSGLEN", Class::Permanent),
        0x02 => ("ESME_RINVCMDLEN", Class::Bug),
        0x03 => ("ESME_RINVCMDID", Class::Bug),
        0x04 => ("ESME_RINVBNDSTS", Class::Session),
        0x05 => ("ESME_RALYBND", Class::Session),
        0x06 => ("ESME_RINVPRTFLG", Class::Permanent),
        0x07 => ("ESME_RINVREGDLVFLG", Class::Permanent),
        0x08 => ("ESME_RSYSERR", Class::Temporary),
        0x0A => ("ESME_RINVSRCADR", Class::Permanent),
        0x0B => ("ESME_RINVDSTADR", Class::Permanent),
        0x0C => ("ESME_RINVMSGID", Class::Permanent),
        0x0D => ("ESME_RBINDFAIL", Class::Bind),
        0x0E => ("ESME_RINVPASWD", Class::Bind),
        0x0F => ("ESME_RINVSYSID", Class::Bind),
        0x11 => ("ESME_RCANCELFAIL", Class::Permanent),
        0x13 => ("ESME_RREPLACEFAIL", Class::Permanent),
        0x14 => ("ESME_RMSGQFUL", Class::Temporary),
        0x15 => ("ESME_RINVSERTYP", Class::Permanent),
        0x33 => ("ESME_RINVNUMDESTS", Class::Bug),
        0x34 => ("ESME_RINVDLNAME", Class::Permanent),
        0x40 => ("ESME_RINVDESTFLAG", Class::Bug),
        0x42 => ("ESME_RINVSUBREP", Class::Permanent),
        0x43 => ("ESME_RINVESMCLASS", Class::Permanent),
        0x44 => ("ESME_RCNTSUBDL", Class::Permanent),
        0x45 => ("ESME_RSUBMITFAIL", Class::Limited),
        0x48 => ("ESME_RINVSRCTON", Class::Permanent),
        0x49 => ("ESME_RINVSRCNPI", Class::Permanent),
        0x50 => ("ESME_RINVDSTTON", Class::Permanent),
        0x51 => ("ESME_RINVDSTNPI", Class::Permanent),
        0x53 => ("ESME_RINVSYSTYP", Class::Bind),
        0x54 => ("ESME_RINVREPFLAG", Class::Permanent),
        0x55 => ("ESME_RINVNUMMSGS", Class::Permanent),
        0x58 => ("ESME_RTHROTTLED", Class::Throttle),
        0x61 => ("ESME_RINVSCHED", Class::Permanent),
        0x62 => ("ESME_RINVEXPIRY", Class::Permanent),
        0x63 => ("ESME_RINVDFTMSGID", Class::Permanent),
        0x64 => ("ESME_RX_T_APPN", Class::Temporary),
        0x65 => ("ESME_RX_P_APPN", Class::PermanentDestination),
        0x66 => ("ESME_RX_R_APPN", Class::Permanent),
        0x67 => ("ESME_RQUERYFAIL", Class::Limited),
        0xC0 => ("ESME_RINVTLVSTREAM", Class::Bug),
        0xC1 => ("ESME_RTLVNOTALLWD", Class::Permanent),
        0xC2 => ("ESME_RINVTLVLEN", Class::Bug),
        0xC3 => ("ESME_RMISSINGTLV", Class::Bug),
        0xC4 => ("ESME_RINVTLVVAL", Class::Permanent),
        0xFE => ("ESME_RDELIVERYFAILURE", Class::Limited),
        0xFF => ("ESME_RUNKNOWNERR", Class::Limited),
        0x100 => ("ESME_RSERTYPUNAUTH", Class::Permanent),
        0x101 => ("ESME_RPROHIBITED", Class::Permanent),
        0x102 => ("ESME_RSERTYPUNAVAIL", Class::Temporary),
        0x103 => ("ESME_RSERTYPDENIED", Class::Permanent),
        0x104 => ("ESME_RINVDCS", Class::Permanent),
        0x105 => ("ESME_RINVSRCADDRSUBUNIT", Class::Permanent),
        0x106 => ("ESME_RINVDSTADDRSUBUNIT", Class::Permanent),
        0x107 => ("ESME_RINVBCASTFREQINT", Class::Permanent),
        0x108 => ("ESME_RINVBCASTALIAS_NAME", Class::Permanent),
        0x109 => ("ESME_RINVBCASTAREAFMT", Class::Permanent),
        0x10A => ("ESME_RINVNUMBCAST_AREAS", Class::Permanent),
        0x10B => ("ESME_RINVBCASTCNTTYPE", Class::Permanent),
        0x10C => ("ESME_RINVBCASTMSGCLASS", Class::Permanent),
        0x10D => ("ESME_RBCASTFAIL", Class::Permanent),
        0x10E => ("ESME_RBCASTQUERYFAIL", Class::Permanent),
        0x10F => ("ESME_RBCASTCANCELFAIL", Class::Permanent),
        0x110 => ("ESME_RINVBCAST_REP", Class::Permanent),
        0x111 => ("ESME_RINVBCASTSRVGRP", Class::Permanent),
        0x112 => ("ESME_RINVBCASTCHANIND", Class::Permanent),
        0x400..=0x4FF => ("vendor specific", Class::Limited),
        _ => ("reserved", Class::Limited),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table of codes: number, name, class.
    #[rustfmt::skip]
    const TABLE: &[(u32, &str, Class)] = &[
        (0x00, "ESME_ROK", Class::Ok),
        (0x01, "ESME_RINVMSGLEN", Class::Permanent),
        (0x02, "ESME_RINVCMDLEN", Class::Bug),
        (0x03, "ESME_RINVCMDID", Class::Bug),
        (0x04, "ESME_RINVBNDSTS", Class::Session),
        (0x05, "ESME_RALYBND", Class::Session),
        (0x06, "ESME_RINVPRTFLG", Class::Permanent),
        (0x07, "ESME_RINVREGDLVFLG", Class::Permanent),
        (0x08, "ESME_RSYSERR", Class::Temporary),
        (0x09, "reserved", Class::Limited),
        (0x0A, "ESME_RINVSRCADR", Class::Permanent),
        (0x0B, "ESME_RINVDSTADR", Class::Permanent),
        (0x0C, "ESME_RINVMSGID", Class::Permanent),
        (0x0D, "ESME_RBINDFAIL", Class::Bind),
        (0x0E, "ESME_RINVPASWD", Class::Bind),
        (0x0F, "ESME_RINVSYSID", Class::Bind),
        (0x10, "reserved", Class::Limited),
        (0x11, "ESME_RCANCELFAIL", Class::Permanent),
        (0x12, "reserved", Class::Limited),
        (0x13, "ESME_RREPLACEFAIL", Class::Permanent),
        (0x14, "ESME_RMSGQFUL", Class::Temporary),
        (0x15, "ESME_RINVSERTYP", Class::Permanent),
        (0x33, "ESME_RINVNUMDESTS", Class::Bug),
        (0x34, "ESME_RINVDLNAME", Class::Permanent),
        (0x40, "ESME_RINVDESTFLAG", Class::Bug),
        (0x42, "ESME_RINVSUBREP", Class::Permanent),
        (0x43, "ESME_RINVESMCLASS", Class::Permanent),
        (0x44, "ESME_RCNTSUBDL", Class::Permanent),
        (0x45, "ESME_RSUBMITFAIL", Class::Limited),
        (0x48, "ESME_RINVSRCTON", Class::Permanent),
        (0x49, "ESME_RINVSRCNPI", Class::Permanent),
        (0x50, "ESME_RINVDSTTON", Class::Permanent),
        (0x51, "ESME_RINVDSTNPI", Class::Permanent),
        (0x53, "ESME_RINVSYSTYP", Class::Bind),
        (0x54, "ESME_RINVREPFLAG", Class::Permanent),
        (0x55, "ESME_RINVNUMMSGS", Class::Permanent),
        (0x58, "ESME_RTHROTTLED", Class::Throttle),
        (0x61, "ESME_RINVSCHED", Class::Permanent),
        (0x62, "ESME_RINVEXPIRY", Class::Permanent),
        (0x63, "ESME_RINVDFTMSGID", Class::Permanent),
        (0x64, "ESME_RX_T_APPN", Class::Temporary),
        (0x65, "ESME_RX_P_APPN", Class::PermanentDestination),
        (0x66, "ESME_RX_R_APPN", Class::Permanent),
        (0x67, "ESME_RQUERYFAIL", Class::Limited),
        (0xC0, "ESME_RINVTLVSTREAM", Class::Bug),
        (0xC1, "ESME_RTLVNOTALLWD", Class::Permanent),
        (0xC2, "ESME_RINVTLVLEN", Class::Bug),
        (0xC3, "ESME_RMISSINGTLV", Class::Bug),
        (0xC4, "ESME_RINVTLVVAL", Class::Permanent),
        (0xFE, "ESME_RDELIVERYFAILURE", Class::Limited),
        (0xFF, "ESME_RUNKNOWNERR", Class::Limited),
        (0x100, "ESME_RSERTYPUNAUTH", Class::Permanent),
        (0x101, "ESME_RPROHIBITED", Class::Permanent),
        (0x102, "ESME_RSERTYPUNAVAIL", Class::Temporary),
        (0x103, "ESME_RSERTYPDENIED", Class::Permanent),
        (0x104, "ESME_RINVDCS", Class::Permanent),
        (0x105, "ESME_RINVSRCADDRSUBUNIT", Class::Permanent),
        (0x106, "ESME_RINVDSTADDRSUBUNIT", Class::Permanent),
        (0x107, "ESME_RINVBCASTFREQINT", Class::Permanent),
        (0x108, "ESME_RINVBCASTALIAS_NAME", Class::Permanent),
        (0x109, "ESME_RINVBCASTAREAFMT", Class::Permanent),
        (0x10A, "ESME_RINVNUMBCAST_AREAS", Class::Permanent),
        (0x10B, "ESME_RINVBCASTCNTTYPE", Class::Permanent),
        (0x10C, "ESME_RINVBCASTMSGCLASS", Class::Permanent),
        (0x10D, "ESME_RBCASTFAIL", Class::Permanent),
        (0x10E, "ESME_RBCASTQUERYFAIL", Class::Permanent),
        (0x10F, "ESME_RBCASTCANCELFAIL", Class::Permanent),
        (0x110, "ESME_RINVBCAST_REP", Class::Permanent),
        (0x111, "ESME_RINVBCASTSRVGRP", Class::Permanent),
        (0x112, "ESME_RINVBCASTCHANIND", Class::Permanent),
        (0x400, "vendor specific", Class::Limited),
        (0x4FF, "vendor specific", Class::Limited),
        (0x500, "reserved", Class::Limited),
        (u32::MAX, "reserved", Class::Limited),
    ];

    #[test]
    fn every_code_has_its_name_and_class() {
        for &(code, expected, class) in TABLE {
            let status = CommandStatus::from(code);
            assert_eq!((name(status), class_of(status)), (expected, class), "0x{code:02X}");
        }
    }

    #[test]
    fn only_codes_of_the_table_have_a_name() {
        let named = (0..0x600).filter(|&code| name(CommandStatus::from(code)).starts_with("ESME_")).count();
        assert_eq!(named, TABLE.iter().filter(|row| row.1.starts_with("ESME_")).count());
    }

    #[test]
    fn a_delivery_failure_is_judged_by_its_reason() {
        assert_eq!(class_of_delivery_failure(Some(0)), Class::Temporary);
        assert_eq!(class_of_delivery_failure(Some(1)), Class::PermanentDestination);
        assert_eq!(class_of_delivery_failure(Some(2)), Class::Permanent);
        assert_eq!(class_of_delivery_failure(Some(3)), Class::Temporary);
        assert_eq!(class_of_delivery_failure(None), Class::Limited);
    }

    #[test]
    fn a_code_is_shown_with_its_number() {
        assert_eq!(Shown(CommandStatus::EsmeRthrottled).to_string(), "ESME_RTHROTTLED 0x58");
        assert_eq!(Shown(CommandStatus::Other(0x401)).to_string(), "vendor specific 0x401");
    }
}
