"""Objects as HTML for notebooks: pictures and facts in the colours of the page, light or dark."""
