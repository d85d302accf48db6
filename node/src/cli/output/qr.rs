//! A text as a QR code of half blocks: two modules for each character cell.

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around the code; the standard wants four, readers are content with two.
const QUIET: i32 = 2;

/// The code, and how many columns it takes; none where the text is too long for any.
#[must_use]
pub fn code(text: &str) -> Option<(String, usize)> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let side = code.size() + 2 * QUIET;
    let columns = usize::try_from(side).ok()?;
    // Light modules are drawn, dark ones left out, as most terminals are dark; readers take both.
    let light = |x: i32, y: i32| y >= side || !code.get_module(x - QUIET, y - QUIET);
    let mut drawn = String::new();
    for y in (0..side).step_by(2) {
        drawn.extend((0..side).map(|x| match (light(x, y), light(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        }));
        drawn.push('\n');
    }
    Some((drawn, columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_a_terminal_and_too_much_is_none() {
        let token = format!("REGATTA1-{}", "ABCDEFGH234567".repeat(40));
        let (drawn, columns) = code(&token).expect("it fits");
        assert!(columns <= 80, "{columns}");
        assert!(drawn.lines().all(|line| line.chars().count() == columns));
        assert_eq!(drawn.lines().count(), columns.div_ceil(2));
        assert!(drawn.starts_with(&"█".repeat(columns)), "a quiet zone");
        assert!(code(&"a".repeat(5000)).is_none());
    }
}
