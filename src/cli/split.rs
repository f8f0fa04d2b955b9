//! `smppgw split`: encoding, septets and part boundaries of a text, without sending anything.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use crate::text::LongMessages;
use crate::text::explain::{Explanation, explain};

#[derive(Debug, Clone, clap::Args)]
pub struct SplitArgs {
    /// The text; `-` reads it from standard input.
    pub text: String,
    /// How the operator takes long texts: udh8, udh16, sar or payload.
    #[arg(long, default_value = "udh8", value_parser = long_messages)]
    pub long_messages: LongMessages,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl SplitArgs {
    /// The text itself, read from `input` when `-` stands for it. A line end that closes the input is not part of it.
    pub fn read_text(&self, input: &mut impl Read) -> io::Result<String> {
        if self.text != "-" {
            return Ok(self.text.clone());
        }
        let mut text = String::new();
        input.read_to_string(&mut text)?;
        if text.ends_with('\n') {
            text.pop();
        }
        Ok(text)
    }
}

/// The setting by its name in the configuration file, so that both spell it alike.
fn long_messages(name: &str) -> Result<LongMessages, String> {
    use serde::Deserialize;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};

    let name: StrDeserializer<'_, Error> = name.into_deserializer();
    LongMessages::deserialize(name).map_err(|error| error.to_string())
}

/// Reads the text and explains it. Exit code 1 when it cannot be read or carried.
pub fn command(args: &SplitArgs) -> ExitCode {
    let text = args.read_text(&mut io::stdin());
    let done = text.and_then(|text| run(&text, args.long_messages, args.json, &mut io::stdout()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("smppgw split: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the explanation; a text that no number of parts can carry is an error.
pub fn run(text: &str, long: LongMessages, json: bool, out: &mut impl Write) -> io::Result<()> {
    let explanation = explain(text, long).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    if json {
        serde_json::to_writer(&mut *out, &explanation)?;
        return writeln!(out);
    }
    print(&explanation, long, out)
}

fn print(explanation: &Explanation, long: LongMessages, out: &mut impl Write) -> io::Result<()> {
    let Explanation { encoding, unit, units, single_limit, part_limit, .. } = explanation;
    writeln!(out, "encoding   {encoding}")?;
    if let Some(forced) = &explanation.forced_by {
        writeln!(
            out,
            "because    {:?} ({}, character {}) is not in GSM-7",
            forced.character, forced.code_point, forced.position
        )?;
    }
    writeln!(out, "length     {units} {unit}")?;
    writeln!(out, "limits     {single_limit} alone, {part_limit} per part")?;
    if long == LongMessages::Payload && units > single_limit {
        writeln!(out, "parts      left to the operator (message_payload)")?;
        return Ok(());
    }
    writeln!(out, "parts      {}", explanation.parts.len())?;
    for (index, part) in explanation.parts.iter().enumerate() {
        writeln!(out, "{:>9}  {:>3} {unit}  {:?}", index + 1, part.units, part.text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str, long: LongMessages, json: bool) -> String {
        let mut out = Vec::new();
        run(text, long, json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_short_text_is_one_part_of_so_many_septets() {
        let out = printed("Hei €", LongMessages::Udh8, false);
        assert!(out.contains("GSM-7") && out.contains("6 septets") && out.contains("parts      1"), "{out}");
    }

    #[test]
    fn the_character_that_forces_ucs2_is_named() {
        let out = printed("it’s", LongMessages::Udh8, false);
        assert!(out.contains("'’' (U+2019, character 3) is not in GSM-7"), "{out}");
    }

    #[test]
    fn json_has_every_part_with_its_text() {
        let out = printed(&"a".repeat(161), LongMessages::Udh16, true);
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["part_limit"], 152);
        assert_eq!(value["parts"][1]["text"], "a".repeat(9));
    }

    #[test]
    fn settings_are_named_as_in_the_configuration() {
        assert_eq!(long_messages("udh16"), Ok(LongMessages::Udh16));
        assert!(long_messages("udh32").is_err());
    }

    #[test]
    fn a_dash_reads_standard_input_without_the_last_line_end() {
        let args = SplitArgs { text: "-".into(), long_messages: LongMessages::Udh8, json: false };
        assert_eq!(args.read_text(&mut &b"hei\nmoi\n"[..]).unwrap(), "hei\nmoi");
    }
}
