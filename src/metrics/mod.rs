//! Every metric declared once, with its unit and meaning, and the scrape endpoint.
