//! Images as lines for people.

use crate::keeper::protocol::{ImageInfo, ImageState};

/// A heading, then one image a line, its name first.
pub fn ls_lines(images: &[ImageInfo]) -> String {
    let rows = images.iter().map(|image| [image.name.clone(), state(&image.state), image.summary.clone()]);
    let rows: Vec<[String; 3]> =
        std::iter::once(["NAME", "STATE", "WHAT IT IS"].map(String::from)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (name, state) = (width(0), width(1));
    rows.iter().map(|row| format!("{:name$}  {:state$}  {}\n", row[0], row[1], row[2])).collect()
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
