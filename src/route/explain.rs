//! Why a message goes where it goes: the walk over the table, told step by step.

use std::fmt;

use serde::Serialize;

use super::digits::Digits;
use super::number::{LONGEST_SHORT_CODE, NumberRules};
use super::table::{Query, Rule, Table, Trace};
use crate::message::{Address, OperatorKey};

/// What is to be explained.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// As an application would write it.
    pub number: &'q Address,
    /// The account's rules for numbers.
    pub rules: &'q NumberRules,
    /// system_id; empty for none in particular.
    pub account: &'q str,
    /// Source address; empty for none in particular.
    pub sender: &'q str,
}

/// What became of a rule that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Chosen,
    OtherAccount,
    OtherSender,
}

/// One step of the way, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The number as it is routed, with its type and plan.
    Normalised { digits: String, ton: u8, npi: u8 },
    /// The submission is refused, with the status of this name.
    Refused { reason: String, status: &'static str },
    /// The look-up among ported numbers; `operators` is empty when it is not among them.
    Ported { operators: Vec<String> },
    /// A rule that was tried.
    Rule {
        prefix: String,
        country: Option<String>,
        accounts: Vec<String>,
        senders: Vec<String>,
        operators: Vec<String>,
        source: String,
        line: u32,
        verdict: Verdict,
    },
}

/// The way from a number to its operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    pub number: String,
    pub account: String,
    pub sender: String,
    pub steps: Vec<Step>,
    /// In order of preference; empty when nobody carries it.
    pub operators: Vec<String>,
}

impl Table {
    /// Takes the same walk as [`Table::choose`] and tells it; `name` gives an operator's name.
    pub fn explain(&self, question: &Question<'_>, name: &dyn Fn(OperatorKey) -> String) -> Explanation {
        let mut explanation = Explanation {
            number: question.number.text().into_owned(),
            account: question.account.to_owned(),
            sender: question.sender.to_owned(),
            steps: Vec::new(),
            operators: Vec::new(),
        };
        let number = match question.rules.normalise(question.number) {
            Ok(number) => number,
            Err(invalid) => {
                explanation.steps.push(Step::Refused { reason: invalid.to_string(), status: "ESME_RINVDSTADR" });
                return explanation;
            }
        };
        let digits = number.text().into_owned();
        explanation.steps.push(Step::Normalised { digits, ton: number.ton, npi: number.npi });
        let query = Query { destination: &number.digits, account: question.account, sender: question.sender.as_bytes() };
        let mut story = Story { steps: explanation.steps, name };
        let choice = self.walk(&query, &mut story);
        explanation.operators = choice.map(|choice| story.names(choice.operators)).unwrap_or_default();
        explanation.steps = story.steps;
        explanation
    }
}

/// Writes down what the walk meets.
struct Story<'n> {
    steps: Vec<Step>,
    name: &'n dyn Fn(OperatorKey) -> String,
}

impl Story<'_> {
    fn names(&self, operators: &[OperatorKey]) -> Vec<String> {
        operators.iter().map(|key| (self.name)(*key)).collect()
    }
}

impl Trace for Story<'_> {
    fn ported(&mut self, operators: Option<&[OperatorKey]>) {
        let operators = self.names(operators.unwrap_or_default());
        self.steps.push(Step::Ported { operators });
    }

    fn rule(&mut self, prefix: Digits, rule: &Rule, operators: &[OperatorKey], verdict: Verdict) {
        let condition = rule.condition.as_deref();
        let texts = |names: &[Box<str>]| names.iter().map(|name| name.to_string()).collect();
        self.steps.push(Step::Rule {
            prefix: prefix.to_string(),
            country: rule.country.as_deref().map(str::to_owned),
            accounts: condition.map(|condition| texts(&condition.accounts)).unwrap_or_default(),
            senders: condition.map(|condition| texts(&condition.senders)).unwrap_or_default(),
            operators: self.names(operators),
            source: rule.source.to_string(),
            line: rule.line,
            verdict,
        });
    }
}

impl fmt::Display for Explanation {
    /// One line a step, the answer last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "number      {}", self.number)?;
        for (title, value) in [("account", &self.account), ("sender", &self.sender)] {
            if !value.is_empty() {
                writeln!(f, "{title:<12}{value}")?;
            }
        }
        for step in &self.steps {
            self.tell(step, f)?;
        }
        match &self.operators[..] {
            [] if self.steps.iter().any(|step| matches!(step, Step::Refused { .. })) => Ok(()),
            [] if self.is_short_code() => writeln!(
                f,
                "operators   none: a short code is in no country; a route to it has all of its digits as prefix, or none"
            ),
            [] => writeln!(f, "operators   none: nobody carries this number"),
            operators => writeln!(f, "operators   {}", operators.join(", then ")),
        }
    }
}

impl Explanation {
    fn is_short_code(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Normalised { digits, .. } if digits.len() <= LONGEST_SHORT_CODE))
    }

    fn tell(&self, step: &Step, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match step {
            Step::Normalised { digits, ton, npi } => writeln!(f, "normalised  {digits} (TON {ton}, NPI {npi})"),
            Step::Refused { reason, status } => writeln!(f, "refused     {reason} ({status})"),
            Step::Ported { operators } if operators.is_empty() => writeln!(f, "ported      not listed"),
            Step::Ported { operators } => writeln!(f, "ported      to {}", operators.join("|")),
            Step::Rule { prefix, country, accounts, senders, operators, source, line, verdict } => {
                let prefix = if prefix.is_empty() { "(any)" } else { prefix };
                write!(f, "prefix      {prefix}")?;
                if let Some(country) = country {
                    write!(f, " {country}")?;
                }
                write!(f, " -> {} ({source}:{line}): ", operators.join("|"))?;
                match verdict {
                    Verdict::Chosen => writeln!(f, "chosen"),
                    Verdict::OtherAccount => writeln!(f, "passed over, it is for account {}", accounts.join(", ")),
                    Verdict::OtherSender => writeln!(f, "passed over, it is for sender {}", senders.join(", ")),
                }
            }
        }
    }
}
