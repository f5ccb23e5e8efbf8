"""One file a kind of figure: `draw(asked, figure)` draws into the figure and returns its caption."""
