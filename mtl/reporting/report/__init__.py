"""An experiment as one page of HTML: `page.write` puts together what the other files find in a frame of runs."""
