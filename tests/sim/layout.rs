//! The configuration of a run, drawn from its seed; a reload draws parts of it anew.

use crate::world::World;

#[derive(Debug, Clone)]
pub struct Layout {
    accounts: usize,
    account_window: u64,
    operators: [Operator; 2],
    /// An operator that a reload has taken out.
    without: Option<usize>,
    /// Of the operators that routes name otherwise they name only the first, or only the second.
    only: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Operator {
    window: u64,
    binds: u64,
    long_messages: &'static str,
    unknown_outcome: &'static str,
    receipt_id: &'static str,
    rate: Option<u64>,
    /// Sends and receives on binds of their own.
    apart: bool,
}

impl Operator {
    fn draw(world: &World, receipt_id: &'static str) -> Operator {
        Operator {
            window: world.number(1, 20),
            binds: world.number(1, 3),
            long_messages: ["udh8", "udh16", "sar", "payload"][world.index(4)],
            unknown_outcome: ["resend", "next"][world.index(2)],
            receipt_id,
            rate: world.percent(20).then(|| world.number(20, 100)),
            apart: world.percent(25),
        }
    }

    fn text(&self, number: usize) -> String {
        let Operator { window, binds, long_messages, unknown_outcome, receipt_id, rate, apart } = self;
        let rate = rate.map(|rate| format!("rate = {rate}")).unwrap_or_default();
        let bind = |kind: &str| {
            format!(
                r#"
                [[operator.bind]]
                address = "op{number}:2775"
                system_id = "gw"
                type = "{kind}"
                count = {binds}
                "#
            )
        };
        let binds = if *apart { bind("transmitter") + &bind("receiver") } else { bind("transceiver") };
        format!(
            r#"
            [[operator]]
            name = "op{number}"
            window = {window}
            long_messages = "{long_messages}"
            unknown_outcome = "{unknown_outcome}"
            receipt_id = "{receipt_id}"
            {rate}
            retry = {{ min = "1s", max = "10s" }}
            reconnect = {{ min = "200ms", max = "5s" }}
            "#
        ) + &binds
    }
}

/// Timers short enough for all of them to run out in a run.
const GENERAL: &str = r#"
    [node]
    name = "sim"
    [metrics]
    listen = ""
    [messages]
    receipt_timeout = "90s"
    early_receipt = "60s"
    mo_reassembly = "60s"
    default_validity = "1d"
    [timers]
    enquire_link = "10s"
    response = "10s"
"#;

impl Layout {
    pub fn draw(world: &World, accounts: usize) -> Layout {
        let operators = [Operator::draw(world, "same"), Operator::draw(world, "hex")];
        Layout { accounts, account_window: world.number(1, 30), operators, without: None, only: None }
    }

    /// As a reload may change it.
    pub fn changed(&self, world: &World) -> Layout {
        let mut changed = self.clone();
        changed.account_window = world.number(1, 30);
        changed.without = world.percent(25).then(|| world.index(2));
        changed.only = world.percent(40).then(|| world.index(2));
        for operator in &mut changed.operators {
            if world.percent(50) {
                let Operator { long_messages, receipt_id, .. } = *operator;
                *operator = Operator { long_messages, ..Operator::draw(world, receipt_id) };
            }
        }
        changed
    }

    /// With operators that are sent long messages in different ways, and one after the other when the outcome is unknown.
    pub fn unalike(&self) -> Layout {
        let unalike = |at: usize, long_messages| {
            let unknown_outcome = "next";
            Operator { long_messages, unknown_outcome, rate: None, window: 10, ..self.operators[at] }
        };
        Layout { operators: [unalike(0, "udh8"), unalike(1, "payload")], ..self.clone() }
    }

    /// Without this operator.
    pub fn without(&self, operator: usize) -> Layout {
        Layout { without: Some(operator), ..self.clone() }
    }

    /// With all operators there.
    pub fn whole(&self) -> Layout {
        Layout { without: None, ..self.clone() }
    }

    /// Has a reload taken an operator out?
    pub fn lacks_one(&self) -> bool {
        self.without.is_some()
    }

    /// Requests to operators that may be open at once.
    pub fn windows(&self) -> usize {
        self.operators.iter().map(|operator| (operator.window * operator.binds) as usize).sum()
    }

    /// As a configuration file.
    pub fn text(&self) -> String {
        let mut text = GENERAL.to_owned();
        for account in 0..self.accounts {
            let window = self.account_window;
            let receipts = if account == 1 { "part" } else { "message" };
            text += &format!(
                r#"
                [[account]]
                system_id = "app{account}"
                password = "secret"
                binds = 8
                window = {window}
                receipts = "{receipts}"
                [[inbound]]
                number = "1300{account}"
                account = "app{account}"
                "#
            );
        }
        let there = |operator: &usize| self.without != Some(*operator);
        for (number, operator) in self.operators.iter().enumerate().filter(|(number, _)| there(number)) {
            text += &operator.text(number);
        }
        for (prefix, order) in [("35840", [0, 1]), ("35850", [1, 0])] {
            let mut present: Vec<usize> = order.into_iter().filter(there).collect();
            if let Some(only) = self.only {
                present = vec![present.get(only).copied().unwrap_or(present[0])];
            }
            let names: Vec<String> = present.iter().map(|number| format!("\"op{number}\"")).collect();
            text += &format!("[[route]]\nprefix = [\"{prefix}\"]\noperators = [{}]\n", names.join(", "));
        }
        text
    }
}
