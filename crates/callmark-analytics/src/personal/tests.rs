//! What is personal data, and what only looks like it.

use super::*;

/// `kind: words` of all that is found; lines alternate between two sides, the agent's first.
fn found(lines: &[&str]) -> Vec<String> {
    let lines: Vec<SpokenLine<'_>> = lines
        .iter()
        .enumerate()
        .map(|(at, text)| SpokenLine { side: at as u16 % 2, words: text.split_whitespace().collect() })
        .collect();
    find_personal(&lines)
        .into_iter()
        .map(|f| format!("{}: {}", f.kind.as_str(), lines[f.line].words[f.first..=f.last].join(" ")))
        .collect()
}

#[test]
fn cards_are_told_by_their_check_however_they_are_written() {
    for card in [
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "4242424242424242",
        "four two four two, four two four two, four two four two, four two four two",
        "five five double five, 5555 5555 double four, four four",
    ] {
        assert_eq!(found(&["", &format!("It is {card}.")]), [format!("card: {card}.")], "{card}");
    }
    assert_eq!(found(&["Which card is it?", "The one ending in 1 8 8 1."]), ["card: 1 8 8 1."]);
}

#[test]
fn numbers_are_told_by_what_was_asked() {
    assert_eq!(
        found(&["What is your order number?", "It's Q T, seven one three, zero two two."]),
        ["account: Q T, seven one three, zero two two."]
    );
    assert_eq!(found(&["", "The reference is QT-713022 I think."]), ["account: QT-713022"]);
    assert_eq!(
        found(&["Can I have the account number?", "Four zero nine, eight eight, three two five."]),
        ["account: Four zero nine, eight eight, three two five."]
    );
    assert_eq!(
        found(&["What number can I reach you on?", "5 5 5, 0 1 4, 9 9 1 7, please."]),
        ["phone: 5 5 5, 0 1 4, 9 9 1 7,"]
    );
    assert_eq!(
        found(&["And your social security number?", "Three one nine, zero eight, 1 1 2 2."]),
        ["national_id: Three one nine, zero eight, 1 1 2 2."]
    );
}

#[test]
fn amounts_times_years_and_counts_are_none() {
    for line in [
        "Your balance is $1,218.40 and it was 1,100 dollars in 2019.",
        "The survey came at 8:40 in the morning, for 2310 pounds.",
        "It takes three to five days, or two hours.",
        "We had one thousand two hundred people, a hundred and nineteen of them in room 12.",
        "Your plan has 4G and 100 GB for 30 days.",
        "I called you three times, one two three!",
        "That was in 2023, four years ago.",
    ] {
        assert_eq!(found(&[line]), [""; 0], "{line}");
    }
}

#[test]
fn addresses_and_e_mail() {
    assert_eq!(
        found(&["", "Send it to mary dot lowe at sample dot org."]),
        ["email: mary dot lowe at sample dot org."]
    );
    assert_eq!(found(&["", "It's mary.lowe@sample.org, all small."]), ["email: mary.lowe@sample.org,"]);
    assert_eq!(found(&["", "It's mary.lowe at sample.org."]), ["email: mary.lowe at sample.org."]);
    assert_eq!(
        found(&["", "We moved to Fifty two Mill Lane, apartment 6."]),
        ["address: Fifty two Mill Lane, apartment 6."]
    );
    assert_eq!(
        found(&["What is the zip code?", "It's nine four one one zero."]),
        ["address: nine four one one zero."]
    );
    assert_eq!(found(&["", "I will be at the office at nine dot."]), [""; 0]);
    assert_eq!(found(&["", "The whole Street is dark, there are five of us in the road."]), [""; 0]);
}

#[test]
fn birth_dates_are_those_that_somebody_calls_so() {
    assert_eq!(
        found(&["And your date of birth?", "The third of May, nineteen sixty two."]),
        ["date_of_birth: third of May, nineteen sixty two."]
    );
    assert_eq!(found(&["", "I was born on 03/05/1962, you know."]), ["date_of_birth: 03/05/1962,"]);
    assert_eq!(found(&["", "It arrives on the third of May."]), [""; 0]);
}

#[test]
fn names_are_those_that_were_given_wherever_they_come_again() {
    assert_eq!(
        found(&[
            "May I have your name?",
            "Yes, it's Mary Lowe.",
            "Thank you, Mary, I see it.",
            "In Madrid?",
            "Bye, Mrs Lowe."
        ]),
        ["name: Mary Lowe.", "name: Mary,", "name: Lowe."]
    );
    assert_eq!(found(&["", "My name is Ibrahim and I live in Leeds."]), ["name: Ibrahim"]);
    assert_eq!(found(&["How can I help?", "My Visa is blocked in Madrid."]), [""; 0]);
}

#[test]
fn what_was_taken_out_is_still_told() {
    assert_eq!(found(&["", "It is [card] and [email]."]), ["card: [card]", "email: [email]."]);
}
