"""Helicopters, drones and birds as meshes, from numbers; every measure varies."""

import numpy as np

from training.mesh import Mesh, Rng, bar, loft, paint, rotor


def helicopter(rng: Rng) -> Mesh:
    """Build a helicopter: light, bubble, transport, gunship or tandem; every measure varies."""
    mesh = Mesh()
    main, trim, glass = paint(rng), paint(rng), (float(rng.uniform(15, 60)),) * 3
    length, height = rng.uniform(1.5, 2.6), rng.uniform(0.55, 0.85)
    width = height * rng.uniform(0.7, 1.05)
    tandem, gunship, bubble = rng.random() < 0.1, rng.random() < 0.2, rng.random() < 0.18
    if gunship:
        width *= 0.6
    nose = [
        (0.0, -0.08, 0.04, 0.04),
        (0.12 * length, -0.03, 0.3 * height, 0.3 * width),
        (0.32 * length, 0.0, 0.5 * height, 0.5 * width),
        (0.65 * length, 0.03, 0.52 * height, 0.5 * width),
    ]
    boom = rng.uniform(1.4, 2.8)
    lift = rng.uniform(0.0, 0.25)
    if tandem:
        length *= 2.2
        body = [(x * 2.2, y, ry, rz) for x, y, ry, rz in nose]
        body += [(length, 0.2, 0.4 * height, 0.35 * width), (length + 0.1, 0.2, 0.05, 0.05)]
        loft(mesh, body, [glass, main, main, main, trim])
        blades = int(rng.integers(3, 5))
        reach = length * 0.5
        rotor(mesh, rng, np.array([0.25 * length, 0.75 * height, 0]), reach, blades=blades)
        rotor(mesh, rng, np.array([0.95 * length, 1.1 * height, 0]), reach, blades=blades)
        bar(
            mesh,
            np.array([0.95 * length, 0, 0]),
            np.array([0.95 * length, 1.05 * height, 0]),
            0.15,
            main,
        )
        bar(
            mesh,
            np.array([0.25 * length, 0, 0]),
            np.array([0.25 * length, 0.72 * height, 0]),
            0.08,
            main,
        )
        return mesh
    thin = rng.uniform(0.05, 0.12)
    body = [
        *nose,
        (0.95 * length, 0.12 + lift / 2, 0.25 * height, 0.25 * width),
        (1.15 * length, 0.15 + lift, thin, thin),
    ]
    shades = [
        glass,
        glass if bubble or rng.random() < 0.6 else main,
        main,
        main if rng.random() < 0.6 else trim,
        main,
    ]
    loft(mesh, body, shades)
    tail = np.array([1.15 * length + boom, 0.2 + lift * 1.3, 0])
    loft(
        mesh,
        [body[-1], (tail[0], tail[1], thin * 0.6, thin * 0.5)],
        [main if rng.random() < 0.6 else trim],
        6,
    )
    fin = rng.uniform(0.35, 0.75)
    back = rng.uniform(0.1, 0.4)
    mesh.add(
        tail + np.array([[-0.3, 0, 0], [0.1, 0, 0], [back + 0.15, fin, 0], [back - 0.1, fin, 0]]),
        trim,
    )
    if rng.random() < 0.6:
        mesh.add(
            tail + np.array([[-0.2, 0, 0], [0.1, 0, 0], [0.15, -fin * 0.5, 0], [0, -fin * 0.5, 0]]),
            trim,
        )
    span = rng.uniform(0.3, 0.7)
    where = tail + np.array([-rng.uniform(0.1, 0.8), 0, 0])
    mesh.add(
        where + np.array([[0, 0, -span], [0.22, 0, -span], [0.22, 0, span], [0, 0, span]]), main
    )
    hub = np.array([rng.uniform(0.45, 0.62) * length, 0.5 * height + rng.uniform(0.2, 0.4), 0])
    loft(
        mesh,
        [
            (hub[0] - 0.4, 0.5 * height, 0.02, 0.02),
            (hub[0] - 0.15, 0.52 * height, 0.16, 0.2),
            (hub[0] + 0.5, 0.52 * height, 0.15, 0.18),
            (hub[0] + 0.8, 0.45 * height, 0.02, 0.02),
        ],
        [main, trim, main],
        8,
    )
    bar(mesh, hub - np.array((0, 0.3, 0)), hub, 0.05, (60, 60, 60))
    reach = (tail[0] - hub[0]) * rng.uniform(0.82, 0.98)
    rotor(mesh, rng, hub, reach, blades=int(rng.integers(2, 7)))
    if rng.random() < 0.06:
        rotor(mesh, rng, hub + np.array((0, 0.25, 0)), reach, blades=3)
    else:
        rotor(
            mesh,
            rng,
            tail + np.array((back, fin * rng.uniform(0, 0.9), 0.06)),
            rng.uniform(0.25, 0.42),
            blades=int(rng.integers(2, 5)),
            across=True,
        )
    low = -0.5 * height - rng.uniform(0.2, 0.4)
    gear = (50.0, 50.0, 50.0)
    if rng.random() < 0.55 and not gunship:
        for z in (-0.55 * width - 0.1, 0.55 * width + 0.1):
            bar(
                mesh,
                np.array([0.1 * length, low, z]),
                np.array([0.95 * length, low, z]),
                0.025,
                gear,
            )
            for x in (0.35, 0.7):
                bar(
                    mesh,
                    np.array([x * length, low, z]),
                    np.array([x * length, -0.3 * height, z * 0.5]),
                    0.02,
                    gear,
                )
    elif rng.random() < 0.7:
        for x, z in ((0.2, 0.0), (0.75, -0.5 * width), (0.75, 0.5 * width)):
            p = np.array([x * length, -0.3 * height, z])
            bar(mesh, p, p - np.array((0, 0.35 * height, 0)), 0.06, gear)
    if gunship or rng.random() < 0.15:
        x = 0.6 * length
        reach_z = width * rng.uniform(1.0, 1.6)
        mesh.add(
            np.array(
                [
                    [x, -0.05, -reach_z],
                    [x + 0.3, -0.05, -reach_z],
                    [x + 0.35, 0, reach_z],
                    [x, 0, reach_z],
                ]
            ),
            main,
        )
        for z in (-reach_z, -0.6 * reach_z, 0.6 * reach_z, reach_z):
            bar(mesh, np.array([x - 0.2, -0.15, z]), np.array([x + 0.45, -0.15, z]), 0.07, trim)
    return mesh


def drone(rng: Rng) -> Mesh:
    """Build a multicopter: four, six or eight arms, a body, legs and a camera."""
    mesh = Mesh()
    arms = int(rng.choice((4, 6, 8), p=(0.8, 0.14, 0.06)))
    main = (
        paint(rng)
        if rng.random() < 0.4
        else (
            (float(rng.uniform(215, 250)),) * 3
            if rng.random() < 0.5
            else (float(rng.uniform(15, 60)),) * 3
        )
    )
    dark = (float(rng.uniform(15, 80)),) * 3
    long, wide, high = rng.uniform(0.22, 0.5), rng.uniform(0.14, 0.3), rng.uniform(0.06, 0.18)
    loft(
        mesh,
        [
            (-long, 0, high * 0.3, wide * 0.4),
            (-long * 0.5, 0, high, wide),
            (long * 0.5, 0.02, high, wide),
            (long, 0, high * 0.3, wide * 0.4),
        ],
        [main, main if rng.random() < 0.7 else dark, main],
        8,
    )
    thick, rise = rng.uniform(0.02, 0.07), rng.uniform(-0.1, 0.2)
    prop = rng.uniform(0.25, 0.52) if arms == 4 else rng.uniform(0.2, 0.36)
    stretch = rng.uniform(0.8, 1.2)
    arm_colour = main if rng.random() < 0.6 else dark
    for i in range(arms):
        a = 2 * np.pi * (i + 0.5) / arms
        tip = np.array([np.cos(a) * stretch, rise, np.sin(a)])
        bar(mesh, np.array([tip[0] * 0.15, 0, tip[2] * 0.15]), tip, thick, arm_colour)
        bar(
            mesh,
            tip - np.array((0, 0.06, 0)),
            tip + np.array((0, 0.12, 0)),
            rng.uniform(0.05, 0.09),
            dark,
        )
        rotor(
            mesh,
            rng,
            tip + np.array((0, 0.14, 0)),
            prop,
            blades=int(rng.integers(2, 4)),
            colour=(float(rng.uniform(30, 120)),) * 3,
        )
    leg = rng.uniform(0.15, 0.55)
    if rng.random() < 0.75:
        for z in (-1, 1):
            feet = []
            for x in (-1, 1):
                top = np.array([x * long * 0.6, -high * 0.5, z * wide * 0.8])
                foot = top + np.array([x * 0.08, -leg, z * rng.uniform(0.05, 0.25)])
                bar(mesh, top, foot, thick * 0.6, arm_colour)
                feet.append(foot)
            if rng.random() < 0.6:
                bar(mesh, feet[0], feet[1], thick * 0.6, arm_colour)
    if rng.random() < 0.7:
        c = np.array([-long * rng.uniform(0, 0.8), -high - 0.08, 0])
        bar(
            mesh,
            c - np.array((0.09, 0, 0)),
            c + np.array((0.09, 0, 0)),
            rng.uniform(0.06, 0.12),
            dark,
        )
    if rng.random() < 0.15:
        bar(
            mesh,
            np.array([0.0, -high, 0]),
            np.array([0.0, -high - 0.45, 0]),
            rng.uniform(0.12, 0.25),
            paint(rng),
        )
    return mesh


def bird(rng: Rng) -> Mesh:
    """Build a flying bird: gull, crow, raptor, small bird or goose, at any wing phase."""
    mesh = Mesh()
    kind = rng.choice(5, p=(0.28, 0.25, 0.17, 0.18, 0.12))
    white, dark = (float(rng.uniform(185, 245)),) * 3, (float(rng.uniform(10, 60)),) * 3
    brown = (float(rng.uniform(60, 120)), float(rng.uniform(45, 90)), float(rng.uniform(25, 65)))
    body = (white, dark, brown, dark if rng.random() < 0.5 else brown, brown)[kind]
    tip_colour = (dark if rng.random() < 0.7 else white, dark, dark, body, dark)[kind]
    span, chord, neck, tail = (
        (1.25, 0.26, 0.3, 0.3),
        (0.95, 0.38, 0.25, 0.35),
        (1.2, 0.45, 0.2, 0.4),
        (0.65, 0.25, 0.18, 0.3),
        (1.1, 0.32, 0.75, 0.2),
    )[kind]
    span, chord = span * rng.uniform(0.85, 1.15), chord * rng.uniform(0.8, 1.2)
    loft(
        mesh,
        [
            (-0.42 - neck, 0.02, 0.015, 0.015),
            (-0.32 - neck, 0.03, 0.06, 0.055),
            (-0.3, 0, 0.08, 0.08),
            (0.0, 0, 0.12, 0.12),
            (0.35, 0, 0.06, 0.06),
        ],
        [brown if kind == 4 else body, body, body, body],
        8,
    )
    fan = rng.uniform(0.08, 0.25)
    mesh.add(
        np.array(
            [
                [0.3, 0, -0.05],
                [0.3, 0, 0.05],
                [0.35 + tail, 0, fan],
                [0.35 + tail * rng.uniform(0.6, 1.1), 0, 0],
                [0.35 + tail, 0, -fan],
            ]
        ),
        body,
    )
    glide = rng.random() < 0.35
    inner = rng.uniform(-0.1, 0.35) if glide else rng.uniform(-0.9, 1.1)
    outer = inner - (rng.uniform(0.0, 0.4) if glide else rng.uniform(-0.3, 1.0))
    fold = rng.uniform(0.75, 1.0)
    sweep = rng.uniform(0.0, 0.5)
    for side in (-1, 1):
        a, b = inner + rng.uniform(-0.1, 0.1), outer + rng.uniform(-0.1, 0.1)
        wrist = np.array([-0.08, np.sin(a) * span * 0.45, side * np.cos(a) * span * 0.45 * fold])
        tip = wrist + np.array(
            [sweep * span * 0.6, np.sin(b) * span * 0.6, side * np.cos(b) * span * 0.6 * fold]
        )
        front, back = (
            np.array([-0.2, 0.04, side * 0.06]),
            np.array([-0.2 + chord, 0.03, side * 0.06]),
        )
        mesh.add(
            np.array(
                [
                    front,
                    wrist - np.array((0.07, 0, 0)),
                    wrist + np.array((chord * 0.85, 0, 0)),
                    back,
                ]
            ),
            body,
        )
        mid = (wrist + tip) / 2
        mesh.add(
            np.array(
                [
                    wrist - np.array((0.07, 0, 0)),
                    mid - np.array((0.02, 0, 0)),
                    mid + np.array((chord * 0.6, 0, 0)),
                    wrist + np.array((chord * 0.85, 0, 0)),
                ]
            ),
            body,
        )
        end = chord * (0.45 if kind == 2 else 0.15)
        mesh.add(
            np.array(
                [
                    mid - np.array((0.02, 0, 0)),
                    tip,
                    tip + np.array((end, 0, 0)),
                    mid + np.array((chord * 0.6, 0, 0)),
                ]
            ),
            tip_colour,
        )
    return mesh
