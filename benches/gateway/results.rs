//! `RESULTS.md`: one section per scenario, replaced when the scenario is run again.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::options::Options;

/// Shows a section, and writes it in the place of the former one with this title.
pub fn publish(options: &Options, title: &str, body: &str) -> Outcome<()> {
    println!("\n## {title}\n\n{body}");
    if options.dry {
        return Ok(());
    }
    let text = fs::read_to_string(&options.results).unwrap_or_else(|_| "# Results\n".to_owned());
    Ok(fs::write(&options.results, replaced(&text, title, body))?)
}

/// The text with this section replaced, or added at the end.
fn replaced(text: &str, title: &str, body: &str) -> String {
    let heading = format!("## {title}\n");
    let section = format!("{heading}\n{}\n", body.trim_end());
    let Some(start) = text.find(&heading) else { return format!("{}\n\n{section}", text.trim_end()) };
    let rest = &text[start + heading.len()..];
    let rest = rest.find("\n## ").map_or("", |end| &rest[end..]);
    format!("{}{section}{rest}", &text[..start])
}

/// A Markdown table.
pub struct Table {
    rows: Vec<String>,
}

impl Table {
    pub fn new(columns: &[&str]) -> Table {
        let line = columns.iter().enumerate().map(|(index, _)| if index == 0 { "---" } else { "---:" });
        Table { rows: vec![row(columns.iter()), row(line)] }
    }

    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(row(cells));
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

fn row<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let cells = cells.into_iter().map(|cell| format!(" {} |", cell.as_ref())).collect::<String>();
    format!("|{cells}")
}

/// Processor, memory, kernel and file system of this machine; nothing that names it.
pub fn machine(folder: &Path) -> Outcome<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_start_matches([' ', '\t', ':']).to_owned()
    };
    let processors = read("/proc/cpuinfo");
    let memory: f64 = field(&read("/proc/meminfo"), "MemTotal").split(' ').next().unwrap_or_default().parse()?;
    let mut table = Table::new(&["", ""]);
    table.row(["processor", &field(&processors, "model name")]);
    table.row(["cores", &std::thread::available_parallelism()?.to_string()]);
    table.row(["memory", &format!("{:.1} GiB", memory / 1024.0 / 1024.0)]);
    let release = read("/proc/sys/kernel/osrelease");
    table.row(["kernel", &format!("Linux {}", release.trim().split('-').next().unwrap_or_default())]);
    table.row(["file system of the spool", &file_system(folder)?]);
    Ok(table.to_string())
}

/// The type of the file system a folder is on.
pub fn file_system(folder: &Path) -> Outcome<String> {
    let folder = folder.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(1).map(str::to_owned);
        fields.next().zip(fields.next())
    };
    let of_folder = mounts.lines().filter_map(mount).filter(|(place, _)| folder.starts_with(place));
    Ok(of_folder.max_by_key(|(place, _)| place.len()).map_or_else(|| "unknown".to_owned(), |(_, kind)| kind))
}

/// The three averages of /proc/loadavg, for the reader to judge how quiet the machine was.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
