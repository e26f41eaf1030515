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

#[test]
fn numbers_said_in_tens_or_by_their_thing_are_numbers() {
    assert_eq!(
        found(&["And your phone number?", "oh one six three two, nine hundred four five six"]),
        ["phone: oh one six three two, nine hundred four five six"]
    );
    assert_eq!(
        found(&[
            "The long number on the card?",
            "fifty five fifty five, fifty five fifty five, fifty five fifty five, forty four forty four"
        ]),
        ["card: fifty five fifty five, fifty five fifty five, fifty five fifty five, forty four forty four"]
    );
    assert_eq!(found(&["What's the security code?", "It's nine zero one."]), ["card: nine zero one."]);
    assert_eq!(found(&["And the expiration date?", "ten thirty one"]), ["card: ten thirty one"]);
    assert_eq!(found(&["Your PIN, please?", "four four oh one"]), ["secret: four four oh one"]);
    assert_eq!(found(&["", "My password is marigold, with an m."]), ["secret: marigold,"]);
    assert_eq!(found(&["What is your password?", "I don't remember it"]), [""; 0]);
    assert_eq!(found(&["", "sort code 40-11-22, please"]), ["account: 40-11-22,"]);
    assert_eq!(found(&["", "The IBAN is FR76 BNPA 3000 4000 0100."]), ["account: FR76 BNPA 3000 4000 0100."]);
    assert_eq!(found(&["Your booking reference?", "It's M4TR9Z."]), ["account: M4TR9Z."]);
    assert_eq!(
        found(&["", "I was born on the second of April 1975 and my social security number is 219-09-9999."]),
        ["date_of_birth: second of April 1975", "national_id: 219-09-9999."]
    );
    for line in ["I get error code 7012.", "We run version 12.4.2 here.", "It was two hundred and ten fifty."]
    {
        assert_eq!(found(&["", line]), [""; 0], "{line}");
    }
}

#[test]
fn what_is_told_in_pieces_is_put_together() {
    assert_eq!(
        found(&["The card number?", "5555", "mhm", "5555", "okay, go on", "5555", "yes", "4444"]),
        ["card: 5555", "card: 5555", "card: 5555", "card: 4444"]
    );
    assert_eq!(
        found(&[
            "Your phone number?",
            "two oh two",
            "right",
            "five five five",
            "two oh two, five five five",
            "oh one four six"
        ]),
        [
            "phone: two oh two",
            "phone: five five five",
            "phone: two oh two, five five five",
            "phone: oh one four six"
        ]
    );
    assert_eq!(
        found(&["And the email?", "ana dot ruiz", "uh huh", "at outlook dot com"]),
        ["email: ana dot ruiz", "email: at outlook dot com"]
    );
    assert_eq!(
        found(&["What is the account number?", "8 8 2 0 1 7 3 4", "Ending in 1 7 3 4, thank you."]),
        ["account: 8 8 2 0 1 7 3 4", "account: 1 7 3 4,"]
    );
    assert_eq!(found(&["How many are you?", "4 of us.", "okay", "2 of them children."]), [""; 0]);
}

#[test]
fn what_is_spelled_and_where_people_live() {
    assert_eq!(found(&["Could you spell your name?", "V A R G A"]), ["name: V A R G A"]);
    assert_eq!(
        found(&["", "The booking is under Novak, N O V A K."]),
        ["name: Novak,", "account: N O V A K."]
    );
    assert_eq!(found(&["", "Hello, this is rosa calling about a bill."]), ["name: rosa"]);
    assert_eq!(found(&["", "Good morning, this is Rosa Lind. I moved."]), ["name: Rosa Lind."]);
    assert_eq!(found(&["", "Type this is Rosa Lind. I moved."]), ["name: Rosa Lind."], "a greeting misheard");
    assert_eq!(found(&["", "And this is Rosa Street."]), [""; 0]);
    assert_eq!(found(&["", "Hi, this is Harbor Dental."]), [""; 0]);
    assert_eq!(found(&["", "Hi, this is Moss Bridge, how can I help?"]), [""; 0]);
    assert_eq!(found(&["", "Hi, this is Monday's order."]), [""; 0]);
    assert_eq!(found(&["", "My daughter Ines Prado booked it."]), ["name: Ines Prado"]);
    assert_eq!(
        found(&["Your email?", "l brown eighty one at gmail"]),
        ["email: l brown eighty one at gmail"]
    );
    assert_eq!(
        found(&["", "Send it to P.O. Box 880, Boise, Idaho 83701."]),
        ["address: P.O. Box 880, Boise, Idaho 83701."]
    );
    assert_eq!(
        found(&["", "I live at 9 Harbour Lane, Bristol BS1 5TY."]),
        ["address: 9 Harbour Lane, Bristol BS1 5TY."]
    );
    assert_eq!(found(&["What's your postcode?", "E H four two Q T"]), ["address: E H four two Q T"]);
    assert_eq!(found(&["", "This is great, I love it."]), [""; 0]);
}
