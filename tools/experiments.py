"""Runs the experiments of the paper, and ours, in small, by ``dsnet-mm compare``.

Results go to work_dirs/experiments/<experiment>/<config>. The real data sets are looked for below
DSNET_MM_DATA. More arguments, such as --seeds or --jobs, are passed on.
"""
import argparse
import os
import sys
from pathlib import Path

from dsnet_mm.cli import compare
from dsnet_mm.config import RESIZER
from dsnet_mm.variants import VARIANTS

ROOT = Path(__file__).resolve().parents[1]
OUT = 'work_dirs/experiments'
# Schedules after which the baselines rise no more; the paper's SPNet has scale 0.3.
CARDS = ['configs/mini/cards/refinedet_cards.py', '--cfg-options', 'train_cfg.max_epochs=20',
         'train_cfg.val_interval=4']
BCCD = ['configs/mini/bccd/refinedet_bccd.py', '--cfg-options', 'train_cfg.max_epochs=8',
        'train_cfg.val_interval=2']
CAMVID = ['configs/mini/camvid/deeplabv3plus_camvid.py', '--cfg-options',
          'model.data_preprocessor.scale=0.3', 'train_cfg.max_epochs=14',
          'train_cfg.val_interval=2']
SHORT = [*CAMVID, 'train_cfg.max_epochs=4', 'train_cfg.val_interval=1']
PAPER = ['--variants', 'bilinear', 'downsizenet']
OURS = ['--variants', 'bilinear', 'downsizenet', 'downsizenet-v2', 'antialias']
TRANSFERRED = f'{OUT}/main/deeplabv3plus_camvid/runs/downsizenet-seed0/epoch_14.pth'


def net(name: str, **options: object) -> str:
    """A variant: a DownsizeNet with these options."""
    return f'{name}={dict(type="DownsizeNet", **options)}'


def blurred(name: str, **options: object) -> str:
    """A variant: an antialiased image, and other options of the config, such as a wider model or a
    larger image, on which the effort of a learned resizer is spent instead."""
    resizer = dict(type='FixedResizer', mode='bilinear', antialias=True)
    options = {key.replace('__', '.'): value for key, value in options.items()}
    return f'{name}={dict({RESIZER: resizer}, **options)}'


def checkpoint(experiment: str, config: str, name: str, seed: str = '0') -> str:
    """Another experiment's, of its first seed behind bilinear interpolation, or of ``'{seed}'``."""
    return f'{OUT}/{experiment}/{Path(config).stem}/runs/bilinear-seed{seed}/{name}.pth'


CHECKPOINT = checkpoint('main', CAMVID[0], 'epoch_14')
TRANSFER = net('camvid', init_cfg=dict(type='Pretrained', checkpoint=TRANSFERRED,
                                       prefix='data_preprocessor.resizer.'))


def unet(channels: int, head: str = 'model__decode_head') -> dict[str, int]:
    """The options that give the mini U-Net, whose head is there, this many channels."""
    return {'model__backbone__base_channels': channels, f'{head}__in_channels': channels,
            f'{head}__channels': channels}


def at_rate(name: str, factor: float) -> str:
    """A variant: a published resizer that learns at this multiple of the model's rate."""
    options = {RESIZER: VARIANTS[name],
               'optim_wrapper.paramwise_cfg.custom_keys.data_preprocessor.lr_mult': factor}
    return f'{name}-{factor:g}={options}'


def frozen(weights: str) -> str:
    """A variant: a trained DownsizeNetV2 that stays as it is."""
    options = {RESIZER: dict(type='DownsizeNetV2', weights=weights),
               'model.data_preprocessor.freeze': True}
    return f'{weights}-frozen={options}'


def iterations(number: int) -> list[str]:
    """The options that train for so many iterations."""
    return [f'{option}={number}' for option in
            ('train_cfg.max_iters', 'train_cfg.val_interval', 'param_scheduler.1.end')]


def learning_on(number: int) -> list[str]:
    """The options that train a U-Net for so many more iterations, at a third of its rate; the
    resizer learns at the rate that it had."""
    return [*iterations(number), 'optim_wrapper.optimizer.lr=0.001',
            'optim_wrapper.paramwise_cfg.custom_keys.data_preprocessor.lr_mult=3']


FIVE_SEEDS = ['--seeds', '0', '1', '2', '3', '4']
DRIVE = ['--metric', 'IoU/vessel', *FIVE_SEEDS]
THREE = ['--variants', 'bilinear', 'antialias', 'downsizenet-v2']
UNET = 'configs/mini/drive/unet_drive.py'
WHOLE_IMAGES = checkpoint('drive-full', UNET, 'iter_400')
# An image that takes the wide U-Net as long as DownsizeNetV2 and a smaller one: with padding
# 184x184 pixels instead of 176x176. Its crops of 331 pixels are 104.
LARGER = blurred('antialias-larger', model__data_preprocessor__scale=0.315,
                 train_dataloader__dataset__pipeline__2__crop_size=(331, 331))
# The same before a heavier U-Net: 184x176 pixels, which take more time than DownsizeNetV2.
LARGER_HEAVY = blurred('antialias-larger', model__data_preprocessor__scale=0.3115,
                       train_dataloader__dataset__pipeline__2__crop_size=(334, 334))
# Before mmseg's own U-Net: 200x192 pixels, which take more time than DownsizeNetV2 and the guide.
LARGER_GUIDED = blurred('antialias-larger', model__decode_head__guided=False,
                        model__data_preprocessor__scale=0.334,
                        train_dataloader__dataset__pipeline__2__crop_size=(336, 336))
# A wider U-Net, which takes as long as the lighter one with DownsizeNetV2 and the guide.
WIDER_GUIDED = blurred('antialias-wider', model__decode_head__guided=False,
                       **unet(28, 'model__decode_head__head'))
BESIDE_WIDER = ['configs/mini/drive/unet-guided_drive.py', '--metric', 'IoU/vessel', '--variants',
                'bilinear+bilinear', 'downsizenet-v2+guided', WIDER_GUIDED]
MOBILENET = 'configs/mini/camvid/deeplabv3plus-mobilenetv2_camvid.py'
MOBILENET_CHECKPOINT = checkpoint('camvid', MOBILENET, 'epoch_24')
UNET_CAMVID = 'configs/mini/camvid/unet_camvid.py'
GUIDED_MOBILENET = 'configs/mini/camvid/deeplabv3plus-mobilenetv2-guided_camvid.py'
LEARN_ON = ['--from', checkpoint('camvid', MOBILENET, 'epoch_24', '{seed}'), '--cfg-options',
            'train_cfg.max_epochs=4', 'train_cfg.val_interval=4', 'param_scheduler.0.end=20']
# The resizer learns at the rate that it has before the U-Nets, 0.003.
DETECTOR = ['--metric', 'pascal_voc/pooled_AP50', *FIVE_SEEDS, *THREE, '--cfg-options',
            'optim_wrapper.paramwise_cfg.custom_keys.data_preprocessor.lr_mult=3',
            'optim_wrapper.paramwise_cfg.custom_keys.data_preprocessor.decay_mult=0']
DETECTOR_CARDS = ['configs/mini/cards/atss-mobilenetv2_cards.py', *DETECTOR,
                  'model.data_preprocessor.target_size=(96,96)']
DETECTOR_FOD = ['configs/mini/fod/atss-mobilenetv2_fod.py', *DETECTOR]
# Learning on at a third of the model's rate, and at the same rate of the resizer.
GENTLY = ['train_cfg.max_epochs=3', 'train_cfg.val_interval=3',
          'optim_wrapper.optimizer.lr=0.0003',
          'optim_wrapper.paramwise_cfg.custom_keys.data_preprocessor.lr_mult=10']

EXPERIMENTS = {
    # Thin structures: a small model, and one as heavy as the paper's lighter ones.
    'drive': [[UNET, *DRIVE, *THREE, blurred('antialias-wider', **unet(18))],
              ['configs/mini/drive/unet-wide_drive.py', *DRIVE, '--variants', LARGER,
               'downsizenet-v2', 'antialias'],
              ['configs/mini/drive/unet-heavy_drive.py', *DRIVE, '--variants', LARGER_HEAVY,
               'downsizenet-v2']],
    # The small model again, beside a larger image that takes as long as DownsizeNetV2.
    'drive-larger': [[UNET, *DRIVE, '--variants', LARGER, 'downsizenet-v2', 'bilinear']],
    # A model of the whole image learns on at 0.3; the resizer alone learns before models of 0.3.
    'drive-full': [[UNET, '--metric', 'IoU/vessel', '--seeds', '0', '--variants', 'bilinear',
                    '--cfg-options', 'model.data_preprocessor.scale=1', *iterations(400)]],
    'drive-finetune': [[UNET, *DRIVE, *THREE, LARGER, '--finetune', '--from', WHOLE_IMAGES,
                        '--cfg-options', *learning_on(200)]],
    'drive-finetune-size': [[UNET, '--metric', 'IoU/vessel', *THREE, '--sizes', '0.2', '0.5',
                             '--finetune', '--from', WHOLE_IMAGES, '--cfg-options',
                             *learning_on(200)]],
    'drive-frozen': [[UNET, *DRIVE, *THREE, LARGER, '--train', 'resizer', '--from',
                      checkpoint('drive-larger', UNET, 'iter_600', '{seed}'), '--cfg-options',
                      *learning_on(200)]],
    # A trained resizer as it is, before a model of another width.
    'transfer': [['configs/mini/drive/unet-wide_drive.py', '--metric', 'IoU/vessel', '--variants',
                  'antialias', frozen('drive-unet')]],
    # What a smaller input costs, and how much of it comes back.
    'size': [[UNET, '--metric', 'IoU/vessel', *THREE, '--sizes', '0.2', '0.3', '0.4']],
    # Other learned resizers at three rates, trained on 16 of DRIVE's training images and compared
    # on the other four.
    'peers-rates': [[UNET, '--metric', 'IoU/vessel', '--seeds', '0',
                     '--variants', *(at_rate(name, factor)
                                     for name in ('muller', 'talebi-milanfar')
                                     for factor in (0.1, 0.3, 1)), '--cfg-options',
                     'train_dataloader.dataset.indices=16', 'val_dataloader.dataset.indices=-4',
                     'val_dataloader.dataset.data_prefix.img_path=images/training',
                     'val_dataloader.dataset.data_prefix.seg_map_path=annotations/training']],
    'peers': [[UNET, *DRIVE, '--variants', 'bilinear', 'antialias',
               'area', 'bicubic', 'downsizenet', 'downsizenet-v2', at_rate('muller', 1),
               at_rate('talebi-milanfar', 0.3)]],
    # And the way back up.
    'guided': [['configs/mini/drive/unet-guided_drive.py', *DRIVE, '--variants',
                'bilinear+bilinear', 'downsizenet-v2+guided']],
    'guided-size': [[*BESIDE_WIDER, '--sizes', '0.2', '0.3']],
    'guided-half': [[*BESIDE_WIDER, '--cfg-options', 'model.data_preprocessor.scale=0.5']],
    'guided-heavy': [['configs/mini/drive/unet-guided-heavy_drive.py', '--metric', 'IoU/vessel',
                      '--variants', LARGER_GUIDED, 'downsizenet-v2+guided']],
    # A backbone with ImageNet's weights: from there, and learning on from a model that was trained
    # behind bilinear interpolation.
    'camvid': [[MOBILENET, *FIVE_SEEDS, *OURS]],
    'camvid-finetune': [[MOBILENET, '--finetune', '--from', MOBILENET_CHECKPOINT, '--cfg-options',
                         'train_cfg.max_epochs=4', '--variants', 'bilinear', 'downsizenet-v2',
                         'antialias']],
    # Guided upsampling alone learns, then all does: each seed has its own trained model.
    'camvid-guided': [[GUIDED_MOBILENET, '--train', 'resizer', *LEARN_ON, '--variants',
                       'bilinear+bilinear', 'bilinear+guided']],
    'camvid-guided-finetune': [[GUIDED_MOBILENET, '--finetune', *LEARN_ON, '--variants',
                                'bilinear+bilinear', 'bilinear+guided', 'downsizenet-v2+guided']],
    # Labels at high resolution: from random weights, and learning on from there.
    'camvid-unet': [[UNET_CAMVID, '--variants', 'bilinear', 'downsizenet-v2']],
    'camvid-unet-finetune': [[
        UNET_CAMVID, '--finetune', '--from', checkpoint('camvid-unet', UNET_CAMVID, 'iter_1200'),
        *FIVE_SEEDS, '--variants', 'bilinear', 'downsizenet-v2', 'antialias', '--cfg-options',
        *learning_on(300)]],
    # A detector on images of 96x96 pixels: from ImageNet's weights, and learning on from one that
    # was trained behind bilinear interpolation.
    'cards': [[*DETECTOR_CARDS, 'train_cfg.max_epochs=40', 'train_cfg.val_interval=10']],
    'cards-finetune': [[*DETECTOR_CARDS, 'train_cfg.max_epochs=16', 'train_cfg.val_interval=4',
                        '--finetune', '--from',
                        checkpoint('cards', DETECTOR_CARDS[0], 'epoch_40')]],
    'cards-frozen': [[*DETECTOR_CARDS, 'train_cfg.max_epochs=16', 'train_cfg.val_interval=8',
                      '--train', 'resizer', '--from',
                      checkpoint('cards', DETECTOR_CARDS[0], 'epoch_40', '{seed}')]],
    'bccd': [['configs/mini/bccd/atss-mobilenetv2_bccd.py', *DETECTOR]],
    'fod': [[*DETECTOR_FOD, 'train_cfg.max_epochs=8', 'train_cfg.val_interval=4']],
    'fod-finetune': [[*DETECTOR_FOD, *GENTLY, '--finetune', '--from',
                      checkpoint('fod', DETECTOR_FOD[0], 'epoch_8'), *THREE,
                      'downsizenet-v2-antialias']],
    # The same model moves to an even smaller input.
    'fod-smaller': [[*DETECTOR_FOD, *GENTLY, 'model.data_preprocessor.target_size=(64,64)',
                     '--finetune', '--from', checkpoint('fod', DETECTOR_FOD[0], 'epoch_8')]],
    # Small models from random weights, the paper's two tasks.
    'main': [CARDS + OURS, BCCD + OURS[:-1], CAMVID + OURS],
    # The paper's Tables 1 and 2.
    'table1': [[f'configs/mini/cards/{name}_cards.py', *PAPER]
               for name in ('refinedet', 'centernet', 'detr', 'lighthead')],
    'table2': [[f'configs/mini/camvid/{name}_camvid.py', *PAPER]
               for name in ('fcn', 'deeplabv3plus', 'spnet')],
    # The ablations that the paper names and its Table 9's depths; ours: how the coefficients are
    # inferred, and other learned resizers.
    'ablation': [BCCD + [
        '--variants', 'bilinear', 'nearest', 'bicubic', 'area', 'antialias', 'texture-only',
        'downsizenet', net('layers3', num_convs=3), net('layers4', num_convs=4),
        net('wide', channels=32), net('sigmoid', activation='sigmoid'),
        net('no-prior', bilinear_prior=False), 'downsizenet-v2', 'downsizenet-v2-antialias',
        'talebi-milanfar', 'muller']],
    # Table 3 and Figure 5: 'main' comes first, whose resizer they take.
    'table3': [['configs/mini/cards/lighthead_cards.py', '--variants', 'bilinear', TRANSFER,
                '--cfg-options', 'model.data_preprocessor.short_edge=None',
                'model.data_preprocessor.scale=0.3',
                'model.data_preprocessor.freeze=True']],
    # Where it pays: the ratio, the length of training, the resizer's own learning rate.
    'ratio': [[*BCCD, f'model.data_preprocessor.target_size=({side},{side})', *PAPER]
              for side in (80, 224)],
    'length': [[*BCCD, f'train_cfg.max_epochs={epochs}', *PAPER] for epochs in (4, 24)],
    'learning-rate': [[*BCCD, 'optim_wrapper.paramwise_cfg.custom_keys='
                       f'{{"data_preprocessor":{{"lr_mult":{factor}}}}}', *PAPER]
                      for factor in (0.1, 10)],
    # Only the resizer learns, in front of the model that 'main' trained behind bilinear: at the
    # size it was trained for, and at a smaller one.
    'frozen': [[*SHORT, '--train', 'resizer', '--from', CHECKPOINT, '--variants', 'bilinear',
                'antialias', 'downsizenet', 'downsizenet-v2', 'downsizenet-v2-antialias'],
               [*SHORT, 'model.data_preprocessor.scale=0.2', '--train', 'resizer',
                '--from', CHECKPOINT, *OURS]],
    # Both learn on from there, behind every resizer for the same steps.
    'finetune': [[*SHORT, '--finetune', '--from', CHECKPOINT, *OURS]],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('experiment', choices=EXPERIMENTS)
    args, more = parser.parse_known_args()
    os.chdir(ROOT)
    codes = []
    for number, arguments in enumerate(EXPERIMENTS[args.experiment]):
        name = Path(arguments[0]).stem
        if arguments[0] in [other[0] for other in EXPERIMENTS[args.experiment][:number]]:
            name += f'-{number}'
        codes.append(compare.main([*arguments, '--work-dir', f'{OUT}/{args.experiment}/{name}',
                                   *more]))
    return max(codes)


if __name__ == '__main__':
    sys.exit(main())
