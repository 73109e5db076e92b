//! Numbers with check digits.

fn digits_of(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

pub(super) fn isbn10(text: &str) -> bool {
    let bare: Vec<char> = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    if bare.len() != 10 {
        return false;
    }
    let value = |(index, c): (usize, &char)| match c {
        'X' | 'x' if index == 9 => Some(10),
        c => c.to_digit(10),
    };
    let digits: Option<Vec<u32>> = bare.iter().enumerate().map(value).collect();
    digits.is_some_and(|digits| {
        digits
            .iter()
            .zip((1..=10).rev())
            .map(|(d, w)| d * w)
            .sum::<u32>()
            % 11
            == 0
    })
}

pub(super) fn isbn13(text: &str) -> bool {
    let digits = digits_of(text);
    let plain = text
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '-' | ' '));
    plain
        && digits.len() == 13
        && digits
            .iter()
            .zip([1, 3].into_iter().cycle())
            .map(|(d, w)| d * w)
            .sum::<u32>()
            % 10
            == 0
}

/// Luhn's check over 13 to 19 digits.
pub(super) fn credit_card(text: &str) -> bool {
    let digits = digits_of(text);
    let plain = text
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '-' | ' '));
    let doubled = |(index, digit): (usize, &u32)| match (index % 2, digit * 2) {
        (0, _) => *digit,
        (_, twice) if twice > 9 => twice - 9,
        (_, twice) => twice,
    };
    plain
        && (13..=19).contains(&digits.len())
        && digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}
