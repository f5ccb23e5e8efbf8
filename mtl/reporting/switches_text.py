"""What a page on switching says in words: definitions with their sources, and its look."""

DEFINITIONS = (
    (
        "cost C",
        "C_ij = mean over switches i → j of L_j(taken up) − L_j(left)",
        "Ours. L_j: loss of j on its probe rows; left: after its last visit; taken up: before the next visit's first "
        "step, right after i's. Whatever trained in between counts.",
    ),
    (
        "interference I",
        "I_ij = mean over visits of i of L_j(end) − L_j(start)",
        "Ours. One visit's share of a cost: costs are sums of it. Diagonal: what a visit does to its own task.",
    ),
    (
        "stale momentum O",
        "O_ij = L_j(θ + s) − L_j(θ) before j's first step",
        "Ours. s: the part of the next step that the optimiser's first moment brings, which i left, in the shared "
        "parameters.",
    ),
    (
        "recovery",
        "least measured n with L_j(taken up + n) ≤ L_j(left)",
        "Ours. Median over returns, looked at after 1, 2, 4, 8 … steps and at the end of the visit; a return that is "
        "not back by then counts as longer than all others. 0: it was never above.",
    ),
    (
        "forgetting",
        "f_j = L_j(end of run) − min over earlier visits' ends of L_j",
        "Chaudhry et al. 2018, with the loss as the score negated; – for tasks of the last visit.",
    ),
    (
        "backward transfer",
        "BWT = mean_j L_j(end of j's last visit) − L_j(end of run)",
        "Lopez-Paz and Ranzato 2017 (GEM), with the loss as the score negated. Negative: forgetting.",
    ),
    (
        "forward transfer",
        "FWT = mean_j L_j(start of run) − L_j(start of j's first visit)",
        "Lopez-Paz and Ranzato 2017 (GEM).",
    ),
    (
        "affinity of visits A",
        "A_ij = mean over visits of i of (1 − L_j(end) / L_j(start)) / tasks in the visit",
        "Proximal inter-task affinity of Jeong and Yoon 2025, here on probe losses. Positive: i helps j.",
    ),
    (
        "affinity of a step Z",
        "Z_ij = 1 − L_j(θ − u_i) / L_j(θ)",
        "TAG, Fifty et al. 2021, on probe rows. u_i = η g_i on the shared parameters; under Adam what g_i brings to "
        "its next step (ours).",
    ),
    (
        "Z, first order",
        "u_i · g_j / L_j;  in training: η g_i · g_j / L_j",
        "Ours. The second from the Gramians that a weighting takes anyway: free, on training rows, plain η also under "
        "Adam.",
    ),
    (
        "conflict",
        "cos(g_i, g_j) < 0;  similarity 2 |g_i| |g_j| / (|g_i|² + |g_j|²)",
        "PCGrad, Yu et al. 2020. On probe rows, mean over the comparisons.",
    ),
    (
        "dominance",
        "steps with i × mean |u_i|², as a share of all tasks'",
        "After AdaTask, Yang et al. 2023, with u_i of the weighted gradient and a plain mean.",
    ),
    ("dwell", "mean length of a task's unbroken stretches of steps", "Ours."),
    (
        "exposure",
        "share of the rows seen / share of the training rows",
        "Ours. Rows over plan: the plan's rows instead.",
    ),
    (
        "first step / others",
        "exp(mean log seconds of a visit's first step − of its others)",
        "Ours. Throughput cost of a switch: above 1 where caches or compiled code have to follow.",
    ),
)
"""Name, formula, source and remarks."""

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; }
.facts, .note, .foot { color: #555; font-size: .88rem; } .headline { font-size: 1.05rem; }
svg { max-width: 100%; height: auto; display: block; margin: .4rem 0; }
table { border-collapse: collapse; font-size: .85rem; margin: .6rem 0; }
tr > td:first-child { white-space: nowrap; }
th, td { padding: .22rem .6rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top; }
th { font-weight: 600; } td:first-child, th:first-child, .words td { text-align: left; }
.words td { padding: .3rem .8rem .3rem 0; } .words td:first-child { white-space: nowrap; } code { font-size: .82rem; }
"""
