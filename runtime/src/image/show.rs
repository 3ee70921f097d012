//! Images as lines for people.

use super::info::{ImageInfo, ImageState};
use super::store::Image;
use crate::printable::printable;

/// A heading, then one image a line, its name first.
pub fn ls_lines(images: &[ImageInfo]) -> String {
    let rows = images.iter().map(|image| [image.name.clone(), state(&image.state), image.summary.clone()]);
    let rows: Vec<[String; 3]> =
        std::iter::once(["NAME", "STATE", "WHAT IT IS"].map(String::from)).chain(rows).collect();
    table(&rows)
}

/// Every image that is here, a name a line, with what it stands in for.
pub fn image_lines(images: &[Image]) -> String {
    let mut rows = vec![["NAME", "ID", "SIZE", "CREATED", "WHAT IT IS"].map(String::from)];
    for image in images {
        let names: Vec<String> = image.names.iter().map(|name| name.familiar()).collect();
        let created = image.config.created.as_deref().unwrap_or("-").split('T').next().unwrap_or("-").to_owned();
        let summary = &image.origin.summary;
        let what = match &image.origin.stands_in_for {
            Some(other) if !summary.contains("stands in for") => format!("stands in for {other}: {summary}"),
            _ => summary.clone(),
        };
        for name in if names.is_empty() { vec!["-".to_owned()] } else { names } {
            rows.push([name, image.id.short(), size(image.size_bytes()), created.clone(), what.clone()]);
        }
    }
    table(&rows)
}

/// Rows below each other, the columns aligned. Much of what stands in them is a stranger's.
pub fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let rows: Vec<[String; COLUMNS]> =
        rows.iter().map(|row| std::array::from_fn(|column| printable(&row[column], false))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let line = |row: &[String; COLUMNS]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn state(state: &ImageState) -> String {
    match state {
        ImageState::Absent => "absent".into(),
        ImageState::Preparing { total: 0, .. } => "preparing".into(),
        ImageState::Preparing { done, total, .. } => format!("preparing, {} %", percent(*done, *total)),
        ImageState::Ready { size_bytes } => format!("ready, {}", size(*size_bytes)),
        ImageState::Failed { .. } => "failed".into(),
    }
}

/// Rounded down, so that 100 means done.
fn percent(done: u64, total: u64) -> u64 {
    (u128::from(done.min(total)) * 100 / u128::from(total.max(1))) as u64
}

/// Decimal, as disks and downloads are sold.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_image_a_line_below_a_heading() {
        let image = |name: &str, summary: &str, state| ImageInfo { name: name.into(), summary: summary.into(), state };
        let images = [
            image("host", "Commands borrowed", ImageState::Ready { size_bytes: 49_400_000 }),
            image("learner", "Debian 12", ImageState::Preparing { doing: "fetching".into(), done: 999, total: 1000 }),
            image("go", "Go", ImageState::Absent),
            image("bad", "Bad", ImageState::Failed { message: "no mirror".into() }),
        ];
        insta::assert_snapshot!(ls_lines(&images), @r"
        NAME     STATE            WHAT IT IS
        host     ready, 49 MB     Commands borrowed
        learner  preparing, 99 %  Debian 12
        go       absent           Go
        bad      failed           Bad
        ");
    }
}
